from __future__ import annotations

import sqlite3
import subprocess
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.store.backup import Backups
from birdwatchd.store.database import Database
from birdwatchd.store.detections import Choice, find
from birdwatchd.store.recorder import Recorder
from birdwatchd.store.rest import Rest
from tests.rows import DAWN, Clock, capture_log, detection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


ROOT = Path(__file__).parents[3]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    return capture_log(monkeypatch)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "birds.sqlite") as opened:
        yield opened


@pytest.fixture
def recorder(database: Database) -> Recorder:
    return Recorder(database, run_id="run-1")


def backups(folder: Path, clock: Clock, *, keep: int = 2, most_megabytes: float = 100.0) -> Backups:
    return Backups(
        folder / "backups", keep=keep, most_megabytes=most_megabytes, wall=clock.wall, monotonic=clock
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "backups").iterdir())


def test_a_copy_holds_what_was_recorded_and_is_one_file(
    tmp_path: Path, database: Database, recorder: Recorder, log: list[Any]
) -> None:
    recorder.record(detection())
    copy = backups(tmp_path, Clock()).make(database)
    assert copy is not None
    assert names(tmp_path) == ["birds-20260509T044210Z.sqlite"]
    recorder.record(detection(10))
    with Database.open(copy, read_only=True) as opened:
        assert list(find(opened, Choice())) == [detection()]
        assert opened.rows("PRAGMA journal_mode")[0][0] == "delete"
    assert [line["event"] for line in log] == ["backup made"]


def test_the_newest_stay_also_when_the_clock_went_back(tmp_path: Path, database: Database) -> None:
    clock = Clock()
    by = backups(tmp_path, clock, keep=2)
    for days in (0, 1, 2, -20000):
        clock.seconds = days * 86400.0
        made = by.make(database)
        assert made is not None
        assert made.exists()
    assert [name[6:14] for name in names(tmp_path)] == ["19710806", "20260511"]


def test_once_a_day_is_enough_whatever_the_clock_says(tmp_path: Path, database: Database) -> None:
    clock = Clock()
    by = backups(tmp_path, clock, keep=9)
    for hour in range(50):
        clock.seconds = hour * 3600.0
        by.make_daily(database)
    assert len(names(tmp_path)) == 3
    again = backups(tmp_path, clock, keep=9)  # started anew an hour later
    again.make_daily(database)
    assert len(names(tmp_path)) == 3
    clock.seconds += 23 * 3600.0
    again.make_daily(database)
    assert len(names(tmp_path)) == 4
    wrong = Clock()
    wrong.seconds = -20000 * 86400.0
    other = backups(tmp_path, wrong, keep=9)
    for _ in range(30):
        other.make_daily(database)
        wrong.seconds += 3600
    assert len(names(tmp_path)) == 5


def test_none_is_made_where_none_is_wanted(tmp_path: Path, database: Database, log: list[Any]) -> None:
    assert backups(tmp_path, Clock(), keep=0).make(database) is None
    assert log == []
    assert backups(tmp_path, Clock(), most_megabytes=0.001).make(database) is None
    assert "larger than store.backup.megabytes" in log[0]["event"]
    assert not (tmp_path / "backups").exists()


def test_a_busy_writer_neither_waits_nor_makes_the_copying_begin_again(
    tmp_path: Path, database: Database, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for second in range(300):
        recorder.record(detection(second, clip_path="x" * 3000))
    steps: list[int] = []
    by = backups(tmp_path, Clock())
    breathe = by._breathe

    def told(status: int, left: int, total: int) -> None:
        steps.append(left)
        recorder.record(detection(1000 + len(steps)))
        breathe(status, left, total)

    monkeypatch.setattr(by, "_breathe", told)
    copy = by.make(database)
    assert copy is not None
    assert len(steps) > 3
    assert steps == sorted(steps, reverse=True)
    assert recorder.pending == 0
    with Database.open(copy, read_only=True) as opened:
        assert len(list(find(opened, Choice()))) == 300
    assert len(list(find(database, Choice()))) == 300 + len(steps)


def test_a_copy_that_is_left_leaves_nothing(tmp_path: Path, database: Database, recorder: Recorder) -> None:
    for second in range(100):
        recorder.record(detection(second, clip_path="x" * 3000))
    by = backups(tmp_path, Clock())
    made: list[Path | None] = []
    thread = threading.Thread(target=lambda: made.append(by.make(database)))
    by.stop()
    thread.start()
    thread.join(60)
    assert made == [None]
    assert names(tmp_path) == []


def test_what_a_power_cut_left_of_a_copy_goes(tmp_path: Path, database: Database) -> None:
    (tmp_path / "backups").mkdir()
    for left in (".birds-20260101T000000Z.sqlite.part", ".birds-20260101T000000Z.sqlite.part-journal"):
        (tmp_path / "backups" / left).write_text("half")
    assert backups(tmp_path, Clock()).make(database)
    assert names(tmp_path) == ["birds-20260509T044210Z.sqlite"]


def damage(database: Database) -> None:
    """An index that has lost its rows: nothing but a look at everything finds that."""
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("PRAGMA writable_schema = ON")
        other.execute(
            "UPDATE sqlite_master SET sql = sql || ' WHERE id IS NULL' WHERE name = 'detections_by_start'"
        )
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_a_damaged_copy_is_the_database_s_own_damage(
    tmp_path: Path, database: Database, recorder: Recorder, log: list[Any]
) -> None:
    for second in range(100):
        recorder.record(detection(second))
    good = backups(tmp_path, Clock())
    kept = good.make(database)
    assert kept is not None
    damage(database)
    later = Clock()
    later.seconds = 86400.0
    assert backups(tmp_path, later).make(database) is None
    assert "damaged" in database.damage
    assert names(tmp_path) == [kept.name]
    recorder.record(detection(1000))
    assert database.damage == ""
    assert "the database is damaged, a new one is begun" in [line["event"] for line in log]
    assert len(list(find(database, Choice()))) == 101
    assert DAWN + timedelta(days=1) == later.wall()


def test_a_copy_of_which_a_damaged_database_is_still_to_be_made_up_for_stays(
    tmp_path: Path, recorder: Recorder, database: Database
) -> None:
    clock = Clock()
    recorder.record(detection())
    first = backups(tmp_path, clock).make(database)
    assert first is not None
    rest = Rest.begin(tmp_path / "birds.sqlite.damaged-20260509T044210Z", "damage", first)
    for _ in range(3):
        clock.seconds += 86400
        assert backups(tmp_path, clock).make(database)
    assert len(names(tmp_path)) == 3
    assert first.exists()
    rest.forget()
    clock.seconds += 86400
    assert backups(tmp_path, clock).make(database)
    assert len(names(tmp_path)) == 2
    assert not first.exists()


class Interfering(Backups):
    """Does something when the last page was copied, before the copy is looked through."""

    then: Callable[[], object] = staticmethod(lambda: None)

    def _breathe(self, status: int, left: int, total: int) -> None:
        super()._breathe(status, left, total)
        if not left:
            self.then()


def test_a_copy_that_is_damaged_on_its_way_is_no_damage_of_the_database(
    tmp_path: Path, database: Database, recorder: Recorder, log: list[Any]
) -> None:
    """A worn stick: what is read of it is not what was written."""
    for second in range(100):
        recorder.record(detection(second))

    def garble() -> None:
        (part,) = (tmp_path / "backups").glob(".*.part")
        with part.open("r+b") as file:
            file.seek(4096)
            file.write(b"\x77" * 8192)

    bad = Interfering(tmp_path / "backups", keep=2, most_megabytes=100)
    bad.then = garble
    assert bad.make(database) is None
    assert database.damage == ""
    assert names(tmp_path) == []
    (said,) = [line for line in log if line["log_level"] == "error"]
    assert said["event"].startswith("no backup: the copy is damaged, the database is well")
    assert said["folder"] == str(tmp_path / "backups")


def test_a_copy_of_a_database_that_was_begun_anew_meanwhile_says_nothing_of_the_new_one(
    tmp_path: Path, database: Database, recorder: Recorder
) -> None:
    for second in range(100):
        recorder.record(detection(second))
    damage(database)

    def renew() -> None:
        database.suspect("damage")
        database.renew()

    old = Interfering(tmp_path / "backups", keep=2, most_megabytes=100)
    old.then = renew
    assert old.make(database) is None
    assert database.damage == ""
    assert names(tmp_path) == []


def test_a_copy_is_put_back_as_the_docs_say(tmp_path: Path) -> None:
    path = tmp_path / "birdwatchd.sqlite"
    with Database.open(path) as opened:
        recorder = Recorder(opened, run_id="run-1")
        recorder.record(detection())
        assert backups(tmp_path, Clock()).make(opened)
        recorder.record(detection(10))
        # As a power cut leaves it: with a log that would be folded into whatever lies beside it.
        left = {end: path.with_name(path.name + end).read_bytes() for end in ("", "-wal")}
    for end, content in left.items():
        path.with_name(path.name + end).write_bytes(content)
    told = (ROOT / "docs/storage.md").read_text().splitlines()
    commands = [line.strip() for line in told if line.strip().startswith(("mkdir before", "cp backups/"))]
    assert len(commands) == 2
    for command in commands:
        subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True)
    with Database.open_or_renew(path) as restored:
        assert list(find(restored, Choice())) == [detection()]
        assert restored.rows("PRAGMA integrity_check")[0][0] == "ok"
