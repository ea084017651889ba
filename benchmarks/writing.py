"""What a day wears off the memory card: `scripts/bench writing`.

The recorder is given a quiet and a busy day, as fast as it takes them, with all that the pipeline gives it: the ledger every
5 seconds, candidates, detections as they start and as they end, each with a delivery that is made and settled. What the
process gave to the disk is the kernel's count (/proc/self/io), the log's folding in included; clips are counted by their size.
The peer is the same hour written as one writes first: each thing in a transaction of its own, without a write-ahead log.

    scripts/bench writing [FOLDER]      FOLDER is on the disk that is measured; build/ when left out
"""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import structlog
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from birdwatchd.actions.save_clip import SaveClip
from birdwatchd.domain import Clip
from birdwatchd.service.written import written_bytes
from birdwatchd.store.backup import Backups
from birdwatchd.store.counts import count
from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Order, Outcome
from birdwatchd.store.outbox import Outbox
from birdwatchd.store.posting import Posting
from birdwatchd.store.recorder import Recorder
from tests.doubles import FakeContext, sample_delivery
from tests.rows import DAWN, candidate, detection, entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from birdwatchd.domain import Detection, Tally

ROOT = Path(__file__).parents[1]
DAY = 86_400
ACCOUNT_SECONDS = 5
HOP_SECONDS = 1.5
MEGABYTE = 1e6
console = Console(width=None if sys.stdout.isatty() else 120)


@dataclass(frozen=True)
class Day:
    """One source's."""

    name: str
    candidates: float
    """A window, in the mean."""
    detections: int


QUIET, BUSY = Day("quiet", 0.05, 20), Day("busy", 2.0, 3_000)


class Everything:
    """One durable action that wants every start."""

    def route(self, heard: Detection, _: Tally) -> Sequence[Order]:
        return [Order("mqtt", "durable", timedelta(days=7))] if heard.state == "started" else []

    def settle(self, *, kept: bool) -> None:
        """It has no memory."""

    def move(self, before: datetime, seconds: float) -> None:
        """As above."""


class Clock:
    def __init__(self, start: datetime) -> None:
        self.seconds, self._start = 0.0, start

    def __call__(self) -> float:
        return self.seconds

    def wall(self) -> datetime:
        return self._start + timedelta(seconds=self.seconds)


def what_happens(day: Day, seconds: int) -> Iterable[tuple[float, str]]:
    """The moments of so many seconds of it, in order: `account`, `candidate`, `started`, `ended`."""
    chance = random.Random(day.name)
    share = seconds / DAY
    moments = [(float(at), "account") for at in range(ACCOUNT_SECONDS, seconds + 1, ACCOUNT_SECONDS)]
    windows = int(seconds / HOP_SECONDS)
    moments += [
        (chance.randrange(windows) * HOP_SECONDS, "candidate") for _ in range(round(windows * day.candidates))
    ]
    for _ in range(max(1, round(day.detections * share))):
        at = chance.uniform(0, seconds - 10)
        moments += [(at, "started"), (at + 9, "ended")]
    return sorted(moments)


def live(path: Path, day: Day, days: int) -> None:
    """So many of these days, one after another."""
    with Database.open(path) as database:
        count(database, UTC)  # from then on the counts are written with each detection
        for number in range(days):
            clock = Clock(DAWN + timedelta(days=number))
            run = f"run-{number}"
            outbox = Outbox(database)
            recorder = Recorder(
                database,
                run_id=run,
                monotonic=clock,
                wall=clock.wall,
                posting=Posting(Everything(), UTC, lambda _: None),
            )
            for at, kind in track(what_happens(day, DAY), f"{day.name} day", console=console, transient=True):
                clock.seconds = at
                moment = at + DAY * number
                if kind == "account":
                    recorder.account(
                        entry(ACCOUNT_SECONDS, one, hours=int(moment // 3600), until=clock.wall())
                        for one in ("expected", "captured", "analysed")
                    )
                elif kind == "candidate":
                    recorder.trace([candidate(moment)])
                else:
                    began = moment if kind == "started" else moment - 9
                    seconds = 4.5 if kind == "started" else 9
                    recorder.record(
                        detection(began, seconds=seconds, run_id=run, state=kind, clip_path="2026/05/09/a")
                    )
                    waiting = outbox.waiting("mqtt", 50)
                    if waiting:
                        outbox.settle([Outcome(one.number, "done", 1) for one in waiting], clock.wall())
            assert recorder.close()
            outbox.close()


def one_by_one(path: Path, day: Day, seconds: int) -> None:
    """Each thing in a transaction of its own, in a database as Python opens it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE ledger (hour, source, kind, seconds, PRIMARY KEY (hour, source, kind))")
    connection.execute("CREATE TABLE traces (start, source, species, code, score, threshold, gate, reason)")
    connection.execute(
        "CREATE TABLE detections (id PRIMARY KEY, start, end, source, species, score, clip, state)"
    )
    for number, (at, kind) in enumerate(what_happens(day, seconds)):
        moment = (DAWN + timedelta(seconds=at)).isoformat()
        if kind == "account":
            for one in ("expected", "captured", "analysed"):
                connection.execute(
                    "INSERT INTO ledger VALUES (?, 'garden', ?, 5) ON CONFLICT DO UPDATE SET seconds = seconds + 5",
                    (int(at // 3600), one),
                )
        elif kind == "candidate":
            connection.execute(
                "INSERT INTO traces VALUES (?, 'garden', 'Parus major', 'gretit1', 0.42, 0.7, 'threshold', ?)",
                (moment, "score 0.42 below 0.7"),
            )
        else:
            connection.execute(
                "INSERT INTO detections VALUES (?, ?, ?, 'garden', 'Parus major', 0.93, '2026/05/09/a', ?)",
                (number, moment, moment, kind),
            )
    connection.close()


def clip_bytes(folder: Path) -> float:
    """A clip of 9 seconds and what lies before and after it, with its picture."""
    rate = 48_000
    samples = np.random.default_rng(1).normal(0, 0.01, 15 * rate).astype(np.float32)
    heard = detection(3, seconds=9, clip_path="a/b")
    action = SaveClip(SaveClip.Config.model_validate({"name": "keep", "kind": "save_clip"}))
    clip = Clip("garden", 0, len(samples), DAWN, rate, samples, (), voice=False)
    action.run(heard, FakeContext(clips_folder=folder, delivery=sample_delivery(detection=heard), sound=clip))
    return float(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))


def measured(work: object) -> float:
    """Bytes that it gave to the disk."""
    before = written_bytes()
    assert before is not None
    assert callable(work)
    work()
    after = written_bytes()
    assert after is not None
    return float(after - before)


def main() -> None:
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build"
    place.mkdir(exist_ok=True)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    if written_bytes() is None:
        sys.exit("this system does not count what a process writes (/proc/self/io)")
    table = Table(
        "day",
        "detections",
        "candidates",
        "database MB",
        "MB a day",
        "one by one: MB a day",
        "clips MB",
        "backup MB",
    )
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        clip = clip_bytes(folder / "clips")
        for day in (QUIET, BUSY):
            path = folder / f"{day.name}.sqlite"
            written = measured(lambda path=path, day=day: live(path, day, 1))
            if not written:
                sys.exit(f"{place} lies in memory: name a folder on a disk")
            peer = 24 * measured(lambda day=day: one_by_one(folder / f"{day.name}-peer.sqlite", day, 3600))
            with Database.open(path) as database:
                backup = measured(
                    lambda database=database: Backups(folder / "copies", keep=1, most_megabytes=1e6).make(
                        database
                    )
                )
            table.add_row(
                day.name,
                f"{day.detections:,}",
                f"{round(DAY / HOP_SECONDS * day.candidates):,}",
                f"{path.stat().st_size / MEGABYTE:.1f}",
                f"{written / MEGABYTE:.0f}",
                f"{peer / MEGABYTE:.0f}",
                f"{day.detections * clip / MEGABYTE:.0f}",
                f"{backup / MEGABYTE:.1f}",
            )
    console.print(table)


if __name__ == "__main__":
    main()
