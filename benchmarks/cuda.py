"""BirdNET on a GPU: does it score as the processor does, how many segments a second, and how soon is one answered?

Beside birdwatchd's lanes (page-locked memory, recorded steps, two batches at a time) the same network as one would call it:
copy, compute, copy back. Sound is two minutes of a real garden where there is one, else noise. Where there is no GPU it says
so, and measures nothing.

Run: python benchmarks/cuda.py [--seconds 0.5] [--batches 1 2 8 32 128 512]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from birdwatchd.model.bundle import Card

    Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

RATE = 48000
SEGMENT, HOP = 3 * RATE, 3 * RATE // 2
SECONDS = 120
GFLOP = 0.75
"""Arithmetic of a segment: benchmarks/layers.py counts it."""
SHARED = Path(os.environ.get("BIRDWATCHD_SHARED", Path(__file__).parents[2] / "shared")) / "data"
console = Console(soft_wrap=True)


def segments(count: int) -> NDArray[np.float32]:
    """So many, one after the other, from the beginning again at the end: float32 (count, 144000)."""
    path = SHARED / "soundscapes" / "birdnet_example.flac"
    if path.is_file():
        import soundfile

        sound = soundfile.read(path, dtype="float32")[0][: SECONDS * RATE]
    else:
        console.print(f"no recording at {path}: noise instead")
        sound = np.random.default_rng(0).normal(0, 0.05, SECONDS * RATE).astype(np.float32)
    starts = range(0, len(sound) - SEGMENT + 1, HOP)
    return np.stack(
        [sound[start : start + SEGMENT] for start in (starts[n % len(starts)] for n in range(count))]
    )


def plainly(network: Callable[..., object]) -> Run:
    """The network as one would call it."""
    import torch

    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            scores: NDArray[np.float32] = network(torch.from_numpy(batch).to("cuda")).float().cpu().numpy()  # type: ignore[attr-defined] # a network of torch's
        return scores

    return run


def rate(run: Run, batch: NDArray[np.float32], seconds: float) -> float:
    """Segments a second: the median of many calls."""
    for _ in range(3):
        run(batch)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        began = time.perf_counter()
        run(batch)
        times.append(time.perf_counter() - began)
    return len(batch) / statistics.median(times)


def products() -> str:
    """What the GPU's matrix product reaches, TFLOP/s, in both precisions."""
    import torch

    found = []
    for kind in (torch.float32, torch.float16):
        one = torch.randn(8192, 8192, device="cuda", dtype=kind)
        times = []
        for _ in range(8):
            torch.cuda.synchronize()
            began = time.perf_counter()
            one @ one
            torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
        found.append(
            f"{2 * 8192**3 / statistics.median(times) / 1e12:.0f} in {str(kind).removeprefix('torch.')}"
        )
    return ", ".join(found)


def measure(
    path: Path,
    card: Card,
    precision: Literal["full", "half"],
    expected: NDArray[np.float32],
    arguments: argparse.Namespace,
) -> None:
    """All of one precision."""
    from birdwatchd.model.classifier import Classifier
    from birdwatchd.model.lanes import LANES, Lanes
    from birdwatchd.model.network import load_network

    began = time.perf_counter()
    network = load_network(path, card, device="cuda", precision=precision)
    loaded = time.perf_counter() - began
    some = segments(len(expected))

    def on_gpu(batch_size: int) -> Classifier:
        lanes = Lanes(network, card.input_samples, batch_size)
        return Classifier(
            path, card, network, device="cuda", threads=LANES, batch_size=batch_size, lanes=lanes
        )

    began = time.perf_counter()
    with on_gpu(2) as classifier:
        recorded = time.perf_counter() - began
        found = classifier.classify(some)
        moved = np.abs(found - expected)
        for name, run in (("plainly", plainly(network)), ("lanes", classifier.classify)):
            one = latencies(run, some[:1])
            console.print(
                f"{precision}: one segment answered, {name}: p50 {np.percentile(one, 50):.2f} ms, p99 {np.percentile(one, 99):.2f} ms"
            )
    for level in (0.1, 0.5, 0.7):
        differ = int(((found >= level) != (expected >= level)).sum())
        console.print(
            f"{precision}: at {level} {differ} of {int((expected >= level).sum())} scores lie on the other side"
        )
    console.print(
        f"{precision}: {len(some)} segments differ from the processor's by {moved.max():.1e} at most, {moved.mean():.1e} "
        f"on average; loaded in {loaded:.1f} s, lanes of two recorded in {recorded:.1f} s"
    )
    table = Table("batch", "plainly, segments/s", "birdwatchd, segments/s", "times", "TFLOP/s", box=None)
    for batch in arguments.batches:
        many = segments(4 * LANES * batch)
        plain = rate(plainly(network), many[:batch], arguments.seconds)
        with on_gpu(batch) as classifier:
            ours = rate(classifier.classify, many, arguments.seconds)
            assert classifier.device == "cuda", "the GPU failed meanwhile"
        table.add_row(
            str(batch), f"{plain:.0f}", f"{ours:.0f}", f"{ours / plain:.1f}", f"{ours * GFLOP / 1000:.1f}"
        )
    console.print(table)


def latencies(run: Run, batch: NDArray[np.float32]) -> NDArray[np.float64]:
    """Milliseconds of 300 calls, 5 ms apart, as sound comes."""
    rate(run, batch, 0)  # to warm up
    times = []
    for _ in range(300):
        time.sleep(0.005)
        began = time.perf_counter()
        run(batch)
        times.append(1000 * (time.perf_counter() - began))
    return np.array(times)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=0.5, help="how long to measure each figure")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 8, 32, 128, 512])
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    import torch

    if not torch.cuda.is_available():
        print("cuda: torch finds no GPU here, nothing is measured")
        return
    from birdwatchd.model.bundle import read_card
    from birdwatchd.model.catalog import find
    from birdwatchd.model.classifier import Classifier

    path = find("birdnet")
    card = read_card(path)
    console.print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}; TFLOP/s of its matrix product: {products()}"
    )
    with Classifier.load(path, device="cpu") as classifier:
        expected = classifier.classify(segments(79))
        one_core = rate(classifier.classify, segments(16), 1.0)
        console.print(
            f"the processors here, with {classifier.batch_limit // 2} threads: {one_core:.0f} segments/s"
        )
    measure(path, card, "full", expected, arguments)
    measure(path, card, "half", expected, arguments)


if __name__ == "__main__":
    main()
