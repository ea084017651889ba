"""How the cost grows with the work: 1 to 64 live sources, 1 and 10 hours of files, 1e3 to 1e6 detections stored.

Processor time, which says the same on a busy machine. The points go into build/growth.json, and all that is there into the
picture docs/images/growth.svg; the dashed line is twice the cost for twice the work, through the last point but one.

Run: python benchmarks/growth.py [sources] [files] [detections]      all three when none is named
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile
from rich.console import Console
from rich.progress import track

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.sources import RATE, garden, listen  # noqa: E402 - the path comes first
from birdwatchd.store.database import Database  # noqa: E402
from birdwatchd.store.recorder import Recorder  # noqa: E402
from tests.rows import detection  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    Points = list[tuple[float, float]]

KEPT = ROOT / "build" / "growth.json"
PICTURE = ROOT / "docs" / "images" / "growth.svg"
MINUTES = 0.5
"""Of each number of sources."""
TOGETHER = 20
"""Detections that are recorded at once: a lively morning."""
console = Console(soft_wrap=True)


def sources(amounts: list[int]) -> Points:
    """Processor seconds for a minute of so many live sources."""
    sound = garden()
    points = []
    with tempfile.TemporaryDirectory() as name:
        for count in amounts:
            listened = listen(count, MINUTES * 60, sound, Path(name))
            if listened.lost_seconds:
                sys.exit(f"growth: the machine was too busy for {count} sources, measure them again")
            points.append((float(count), listened.processor_seconds / MINUTES))
    return points


def files(amounts: list[int]) -> Points:
    """Processor seconds of `birdwatchd analyze` for so many hours, in files of ten minutes, a segment every 3 s."""
    points = []
    with tempfile.TemporaryDirectory() as name:
        one, config = Path(name) / "ten_minutes.wav", Path(name) / "config.yaml"
        config.write_text("hop_seconds: 3\nsources: [{kind: microphone, name: none}]\n")
        sound = garden()
        with soundfile.SoundFile(one, "w", RATE, 1) as written:
            for _ in range(round(600 * RATE / len(sound))):
                written.write(sound)
        for hours in amounts:
            folder, output = Path(name) / str(hours), Path(name) / f"{hours}.csv"
            folder.mkdir()
            for number in range(6 * hours):
                os.link(one, folder / f"{number:03}.wav")
            words = ["analyze", str(folder), "-o", str(output), "-c", str(config)]
            points.append((float(hours), spent([sys.executable, "-m", "birdwatchd", *words])))
    return points


def spent(command: list[str]) -> float:
    """Processor seconds of a command and all that it starts, also of what it does not wait for; looked at ten times a second."""
    ticks: dict[int, int] = {}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as running:
        while running.poll() is None:
            for entry in Path("/proc").glob("[0-9]*/stat"):
                with suppress(OSError):
                    fields = entry.read_text().rpartition(")")[2].split()
                    if int(fields[3]) == running.pid:  # its session
                        ticks[int(entry.parent.name)] = int(fields[11]) + int(fields[12])
            time.sleep(0.1)
    if running.returncode:
        sys.exit(f"growth: {' '.join(command)} failed")
    return sum(ticks.values()) / os.sysconf("SC_CLK_TCK")


def detections(amounts: list[int]) -> Points:
    """Processor seconds to store so many detections, in one database that grows."""
    points = []
    began_at = datetime(2026, 5, 1, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as name, Database.open(Path(name) / "birds.sqlite") as database:
        recorder = Recorder(database, run_id="growth", wall=lambda: began_at)
        began = time.process_time()
        for number in track(range(0, max(amounts), TOGETHER), "detections", console=console, transient=True):
            recorder.record(
                *(
                    detection(10.0 * one, seconds=4.5, run_id="growth", state="ended")
                    for one in range(number, number + TOGETHER)
                )
            )
            if number + TOGETHER in amounts:
                points.append((float(number + TOGETHER), time.process_time() - began))
        assert recorder.close()
    return points


PARTS: dict[str, tuple[Callable[[list[int]], Points], list[int], str, str]] = {
    "sources": (sources, [1, 4, 16, 64], "live sources", "processor seconds a minute"),
    "files": (files, [1, 10], "hours of files", "processor seconds"),
    "detections": (detections, [1000, 10_000, 100_000, 1_000_000], "detections stored", "processor seconds"),
}


def kept() -> dict[str, Points]:
    """What was measured so far, by part."""
    found: dict[str, Points] = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    return found


def draw(measured: dict[str, Points]) -> None:
    """Write the picture."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "birdwatchd"
    figure, places = plt.subplots(1, len(PARTS), figsize=(11, 3.4), layout="constrained")
    for place, (name, (_, _, across, up)) in zip(places, PARTS.items(), strict=True):
        points = measured.get(name, [])
        if points:
            place.loglog(*zip(*points, strict=True), "o-", color="#2b6f4e")
            x, y = points[-2]
            ends = [points[0][0], points[-1][0]]
            place.loglog(ends, [y / x * end for end in ends], "--", color="#999999")
        place.set_xlabel(across)
        place.set_ylabel(up)
        place.grid(visible=True, which="major", color="#eeeeee")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})


def main() -> None:
    """Measure what is asked for, print it, and draw all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}")
    parser.add_argument(
        "--amounts", type=int, nargs="+", help="only these, of one part; the others stay as they were"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if arguments.amounts and len(arguments.parts) != 1:
        parser.error("--amounts are of one part: name it")
    for name in arguments.parts or PARTS:
        measure, amounts, across, up = PARTS[name]
        points = measure(arguments.amounts or amounts)
        for x, y in points:
            console.print(f"{x:,.0f} {across}: {y:,.1f} {up}, {y / x:.3g} each")
        before = kept()
        merged = {x: y for x, y in [*before.get(name, []), *points]}  # noqa: C416 - pairs come from JSON as lists
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps(before | {name: sorted(merged.items())}))
    draw(kept())
    console.print(f"drawn: {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
