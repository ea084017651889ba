"""What the daemon costs before and while it listens: `scripts/bench daemon`.

Start to "listening", resident memory with BirdNET and one source, and how long `--help` and `check` take; each beside a
bare interpreter that does nothing but import torch, or nothing at all, in the same run.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

REPEATS = 5
SECONDS = 40
RATE = 48000
CONFIG = """\
sources:
  - name: garden
    kind: recording
    path: {folder}/noise.wav
store:
  database: {folder}/birds.sqlite
log:
  format: json
"""


def wall_seconds(*arguments: str) -> float:
    """The median time of a command from start to end."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def resident_mb(pid: int) -> tuple[float, float]:
    """Resident memory of a process now, and at its highest, MB."""
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return int(fields["VmRSS"].split()[0]) / 1000, int(fields["VmHWM"].split()[0]) / 1000


def listen(config: Path) -> tuple[float, float, float]:
    """Seconds to "listening", and resident memory after half a minute of it, then and at most."""
    began = time.perf_counter()
    daemon = subprocess.Popen(
        [sys.executable, "-m", "birdwatchd", "run", "-c", str(config)], stderr=subprocess.PIPE, text=True
    )
    assert daemon.stderr is not None
    for line in daemon.stderr:
        if '"event": "listening"' in line:
            break
    started = time.perf_counter() - began
    time.sleep(SECONDS - 10)
    now, most = resident_mb(daemon.pid)
    daemon.terminate()
    daemon.wait()
    daemon.stderr.close()
    return started, now, most


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noise = np.random.default_rng(1).normal(0, 0.01, SECONDS * RATE)
        soundfile.write(folder / "noise.wav", noise, RATE)
        config = folder / "config.yaml"
        config.write_text(CONFIG.format(folder=folder))
        listen(config)  # so that the files are in the page cache for all that follow
        runs = [listen(config) for _ in range(3)]
        bare_torch = wall_seconds("-c", "import torch")
        bare = wall_seconds("-c", "pass")
        help_seconds = wall_seconds("-m", "birdwatchd", "--help")
        check_seconds = wall_seconds("-m", "birdwatchd", "check", "-c", str(config))
    start, now, most = (statistics.median(column) for column in zip(*runs, strict=True))
    table = Table(title=f"The daemon on {os.cpu_count()} cores, BirdNET, one source")
    for heading in ("what", "birdwatchd", "wanted", "beside it"):
        table.add_column(heading)
    table.add_row("start to listening", f"{start:.1f} s", "≤ 3 s", f"import torch alone: {bare_torch:.1f} s")
    table.add_row("resident memory", f"{now:.0f} MB", "≤ 420 MB", f"highest: {most:.0f} MB")
    table.add_row("birdwatchd --help", f"{help_seconds:.2f} s", "≤ 0.4 s", f"bare python: {bare:.2f} s")
    table.add_row("birdwatchd check", f"{check_seconds:.2f} s", "≤ 0.4 s", f"bare python: {bare:.2f} s")
    Console().print(table)


if __name__ == "__main__":
    main()
