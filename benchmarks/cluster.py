"""`birdwatchd analyze --cluster`: hours of sound a minute over the number of Dask workers, beside one process alone.

A real scheduler and real workers on loopback, each a process. Only the analysis is timed, its start and
the loading of the model in every worker included.

Run: python benchmarks/cluster.py [--minutes 20] [--workers 2]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

RATE = 48000
FILE_SECONDS = 60


def main() -> None:
    """Measure one process, then one worker, two, and so on, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=int, default=20, help="how much sound")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="at most")
    arguments = parser.parse_args()
    if importlib.util.find_spec("distributed") is None:
        print("cluster: Dask is not installed (pip install 'birdwatchd[cluster]'), nothing is measured")
        return
    table = Table("", "seconds", "hours of sound a minute", "times one worker", box=None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cards").mkdir()
        noise = np.random.default_rng(0).normal(0, 0.05, FILE_SECONDS * RATE).astype(np.float32)
        for number in range(arguments.minutes):
            soundfile.write(folder / "cards" / f"{number:03}.wav", noise, RATE)
        alone = analyze(folder, "--jobs", "1")
        row(table, "one process", alone, arguments.minutes, None)
        one = 0.0
        for count in range(1, arguments.workers + 1):
            seconds = with_workers(folder, count)
            one = one or seconds
            row(table, f"{count} {'worker' if count == 1 else 'workers'}", seconds, arguments.minutes, one)
    console = Console(soft_wrap=True)
    cores = len(os.sched_getaffinity(0))
    console.print(f"{arguments.minutes} recordings of a minute, 48 kHz, hop 1.5 s, {cores} cores")
    console.print(table)


def row(table: Table, title: str, seconds: float, minutes: int, one: float | None) -> None:
    """One line of it."""
    table.add_row(title, f"{seconds:.1f}", f"{minutes / seconds:.2f}", f"{one / seconds:.2f}" if one else "")


def with_workers(folder: Path, count: int) -> float:
    """Seconds of the analysis with so many workers."""
    file = folder / f"scheduler-{count}.json"
    place = ("--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file))
    processes = [dask("scheduler", "--port", "0", *place)]
    try:
        while not file.is_file() or not file.read_text():
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        worker = ("--nthreads", "1", "--no-nanny", "--local-directory", str(folder), *place)
        processes += [dask("worker", *worker) for _ in range(count)]
        wait_for(address, count)
        return analyze(folder, "--cluster", address)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def wait_for(address: str, count: int) -> None:
    """Return when so many workers are there."""
    from distributed import Client

    with Client(address) as client:
        client.wait_for_workers(count)


def dask(what: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A process of Dask's."""
    words = [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def analyze(folder: Path, *arguments: str) -> float:
    """Seconds that the whole command takes."""
    words = [sys.executable, "-m", "birdwatchd", "analyze", str(folder / "cards")]
    began = time.perf_counter()
    subprocess.run([*words, "-o", str(folder / "out.csv"), *arguments], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
