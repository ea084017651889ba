"""How fast deliveries go out, and what they cost the pipeline: `scripts/bench deliveries`.

First 100,000 that were queued while nobody was there: how many a second, in order, and how much more memory that takes, for
an action that takes 200 at once (as mqtt does) and for one that takes them one by one. The peer is the queue that everybody
writes first: take the oldest row, do it, mark it, commit. Then a busy minute: 1,000 detections with five actions of 20 ms each; how long the recording of one takes the pipeline's thread, and how long after
its detection the last delivery is done. Beside it the same minute without any action.
"""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from birdwatchd.actions import Action
from birdwatchd.dispatch.desk import Desk
from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Choice, Order, add, find
from birdwatchd.store.recorder import Recorder
from tests.acting import config, surroundings
from tests.doubles import sample_tally
from tests.rows import detection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birdwatchd.actions import Context
    from birdwatchd.domain import Detection

QUEUED = 100_000
DETECTIONS = 1_000
MINUTE_SECONDS = 60.0
ACTION_SECONDS = 0.02
ACTIONS = 5

console = Console(width=None if sys.stdout.isatty() else 120)


class Counting(Action):
    """Does nothing, and sees whether the order is kept."""

    def __init__(self, settings: object) -> None:
        super().__init__(settings)
        self.seen = 0
        self.is_in_order = True
        self._last = -1

    def run(self, detection: Detection, context: Context) -> None:
        self.is_in_order &= detection.start_sample > self._last
        self._last = detection.start_sample
        self.seen += 1


class Pipelined(Counting):
    """Takes many at once, as mqtt does."""

    batch_size = 200
    ordered = True


class Slow(Action):
    """Takes its time, and remembers when each was done."""

    def __init__(self, settings: object) -> None:
        super().__init__(settings)
        self.done: list[float] = []

    def run(self, detection: Detection, context: Context) -> None:
        time.sleep(ACTION_SECONDS)
        self.done.append(time.monotonic())


def resident_mb() -> float:
    """Resident memory of this process, MB."""
    fields = Path("/proc/self/status").read_text().split("VmRSS:")[1]
    return int(fields.split()[0]) / 1000


def fill(path: Path) -> None:
    """A database with so many deliveries that wait."""
    order = Order("one", "durable", timedelta(days=7))
    now = datetime.now(UTC)
    with Database.open(path) as database:
        for first in range(0, QUEUED, 5000):
            with database.transaction() as connection:
                for second in range(first, first + 5000):
                    add(connection, detection(second), sample_tally(), [order], now=now)


def drain(path: Path, kind: type[Counting], answer: multiprocessing.Queue[tuple[float, float, bool]]) -> None:
    """Deliver all of it; tells how long it took, how much more memory, and whether the order was kept."""
    action = kind(config("one", timeout_seconds=60))
    with Database.open(path) as database:
        desk = Desk([action], database, surroundings())
        before = most = resident_mb()
        began = time.perf_counter()
        desk.start()
        while action.seen < QUEUED:
            most = max(most, resident_mb())
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        desk.stop()
    with Database.open(path, read_only=True) as database:
        (row,) = database.rows("SELECT count(*) AS left FROM deliveries WHERE status != 'done'")
        assert row["left"] == 0
    answer.put((seconds, most - before, action.is_in_order))


def drain_plainly(path: Path) -> float:
    """The peer: how many a second, one commit each, over the first tenth of them."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    began = time.perf_counter()
    for _ in range(QUEUED // 10):
        number, carried = connection.execute(
            "SELECT number, detection FROM deliveries WHERE action = 'one' AND status = 'waiting' ORDER BY number LIMIT 1"
        ).fetchone()
        assert json.loads(carried)
        connection.execute("UPDATE deliveries SET status = 'done' WHERE number = ?", (number,))
    seconds = time.perf_counter() - began
    connection.close()
    return QUEUED / 10 / seconds


def drain_alone(path: Path, kind: type[Counting]) -> tuple[float, float, bool]:
    """The same in a process of its own, whose memory has not been used for anything else."""
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[tuple[float, float, bool]] = context.Queue()
    process = context.Process(target=drain, args=(path, kind, answer))
    process.start()
    result = answer.get()
    process.join()
    return result


def busy_minute(path: Path, actions: Sequence[Slow]) -> tuple[list[float], float]:
    """A thousand detections, evenly; how long each recording took, and how long after the last one all was done."""
    recorded: list[float] = []
    with Database.open(path) as database:
        desk = Desk(actions, database, surroundings())
        recorder = Recorder(database, run_id="run-1", posting=desk.posting)
        desk.start()
        began = time.monotonic()
        label = f"a busy minute, {len(actions)} actions"
        for number in track(range(DETECTIONS), label, console=console, transient=True):
            time.sleep(max(0.0, began + number * MINUTE_SECONDS / DETECTIONS - time.monotonic()))
            before = time.perf_counter()
            recorder.record(detection(number))
            recorded.append(time.perf_counter() - before)
        last = time.monotonic()
        while desk.count_waiting():
            time.sleep(0.01)
        behind = time.monotonic() - last
        desk.stop()
        recorder.close()
        assert all(entry.delivery.status == "done" for entry in find(database, Choice()))
    return recorded, behind


def main() -> None:
    """Measure, and show."""
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory() as folder:
        table = Table(title=f"{QUEUED:,} queued deliveries")
        for name in ("action", "seconds", "a second", "more memory", "in order"):
            table.add_column(name, justify="left" if name == "action" else "right")
        for words, kind in (("200 at once, ordered", Pipelined), ("one by one", Counting)):
            path = Path(folder, kind.__name__)
            with console.status(f"filling a database for {words} …"):
                fill(path)
            with console.status(f"draining {words} …"):
                seconds, memory, in_order = drain_alone(path, kind)
            table.add_row(
                words,
                f"{seconds:.1f}",
                f"{QUEUED / seconds:,.0f}",
                f"{memory:.0f} MB",
                "yes" if in_order else "NO",
            )
        with console.status("draining a plain queue …"):
            fill(Path(folder, "plain"))
            plainly = drain_plainly(Path(folder, "plain"))
        table.add_row("a plain queue (the peer)", "", f"{plainly:,.0f}", "", "yes")
        console.print(table)
        table = Table(
            title=f"{DETECTIONS:,} detections in {MINUTE_SECONDS:.0f} s, actions of {ACTION_SECONDS * 1000:.0f} ms"
        )
        for name in ("actions", "record p50", "record p99", "record max", "all done after the last"):
            table.add_column(name, justify="right")
        for count in (0, ACTIONS):
            actions = [Slow(config(f"slow-{number}")) for number in range(count)]
            recorded, behind = busy_minute(Path(folder, f"busy-{count}"), actions)
            cuts = statistics.quantiles(recorded, n=100)
            table.add_row(
                str(count),
                *(f"{seconds * 1000:.1f} ms" for seconds in (cuts[49], cuts[98], max(recorded))),
                f"{behind * 1000:.0f} ms",
            )
        console.print(table)


if __name__ == "__main__":
    main()
