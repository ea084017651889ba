"""A database that is not what was written to it: moved aside, said loudly, and listening goes on with a new one."""

from __future__ import annotations

import errno
import itertools
import os
import random
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.errors import FullError, StoreError
from birdwatchd.store import database as module
from birdwatchd.store import detections, opening, renewal, salvage
from birdwatchd.store.backup import Backups
from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Choice as Anything
from birdwatchd.store.deliveries import Order, add
from birdwatchd.store.deliveries import find as find_deliveries
from birdwatchd.store.detections import Choice, find
from birdwatchd.store.recorder import Recorder
from birdwatchd.store.schema import APPLICATION_ID, STEPS
from tests.acting import Notebook, config, post, wait_until
from tests.doubles import sample_tally
from tests.faults.disks import needs_root, small_disk
from tests.rows import DAWN, Clock, capture_log, detection, entry

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from birdwatchd.domain import Detection

PAGE = 4096
ROWS = 1500


def header_garbage(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        file.write(chance.randbytes(100))


def random_pages(path: Path, chance: random.Random) -> None:
    """One page in twenty, but the first."""
    pages = path.stat().st_size // PAGE
    with path.open("r+b") as file:
        for page in chance.sample(range(1, pages), pages // 20):
            file.seek(page * PAGE)
            file.write(chance.randbytes(PAGE))


def flipped_bytes(path: Path, chance: random.Random) -> None:
    """A byte in every second page."""
    pages = path.stat().st_size // PAGE
    with path.open("r+b") as file:
        for page in range(1, pages, 2):
            file.seek(page * PAGE + chance.randrange(8))  # what a page says of itself
            file.write(b"\x77")


def truncated(path: Path, _: random.Random) -> None:
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE + 100)


def no_database(path: Path, _: random.Random) -> None:
    path.write_text("The card was somebody's shopping list.\n" * 100)


def another_id(path: Path, _: random.Random) -> None:
    with path.open("r+b") as file:
        file.seek(68)
        file.write((APPLICATION_ID ^ 0x40).to_bytes(4, "big"))


DAMAGES: dict[str, tuple[Callable[[Path, random.Random], None], float]] = {
    # How it is made, and the share of the rows that can be read at least.
    "header garbage": (header_garbage, 1.0),
    "random pages": (random_pages, 0.7),
    "flipped bytes": (flipped_bytes, 0.4),
    "truncated": (truncated, 0.3),
    "no database": (no_database, 0.0),
    "another application id": (another_id, 1.0),
}


def fill(path: Path, number: int = ROWS) -> list[Detection]:
    """A database with so many detections, each delivered; the run that wrote them has ended."""
    written = [detection(second, run_id="run-0") for second in range(number)]
    with Database.open(path) as database:
        recorder = Recorder(database, run_id="run-0")
        with database.transaction() as connection:
            detections.write(connection, map(detections.to_row, written))
            for one in written:
                add(connection, one, sample_tally(), [ORDER], now=DAWN)
            connection.execute("UPDATE deliveries SET status = 'done'")
        recorder.account([entry(7.0)])
        assert recorder.close()
    return written


ORDER = Order("tell", "durable", timedelta(days=7))


def rows(path: Path) -> list[Detection]:
    with Database.open(path, read_only=True) as database:
        assert database.rows("PRAGMA integrity_check")[0][0] == "ok"
        assert database.rows("PRAGMA foreign_key_check") == []
        return list(find(database, Choice()))


def loud(log: list[Any]) -> list[Any]:
    return [line for line in log if line["event"] == "the database is damaged, a new one is begun"]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    return capture_log(monkeypatch)


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(tmp_path / "backups", keep=2, most_megabytes=100)


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_database_is_set_aside_and_a_new_one_begun(
    tmp_path: Path, log: list[Any], kind: str
) -> None:
    damage, share = DAMAGES[kind]
    path = tmp_path / "db"
    written = fill(path)
    damage(path, random.Random(1))
    content = path.read_bytes()
    with Database.open_or_renew(path) as database:
        recorder = Recorder(database, run_id="run-2")
        recorder.record(detection(ROWS, run_id="run-2"))
        assert recorder.close()
    (said,) = loud(log)
    assert said["log_level"] == "error"
    (aside,) = tmp_path.glob("db.damaged-*")
    assert said["moved_to"] == str(aside)
    assert aside.read_bytes() == content
    found = rows(path)
    assert found.pop() == detection(ROWS, run_id="run-2")
    assert all(one in written for one in found)
    assert share * ROWS <= len(found)
    assert not share or f"{len(found)} detections" in said["taken_over"]
    with Database.open(path, read_only=True) as database:
        assert {one.delivery.status for one in find_deliveries(database, Anything())} <= {"done"}
    # It happens once: the next start finds a database that is well.
    log.clear()
    Database.open_or_renew(path).close()
    assert not loud(log)


def test_what_the_damaged_one_does_not_have_comes_from_the_newest_backup(
    tmp_path: Path, log: list[Any], backups: Backups
) -> None:
    path = tmp_path / "db"
    written = fill(path)
    with Database.open(path) as database:
        copy = backups.make(database)
        assert copy is not None
        kept = copy.read_bytes()
        later = detection(ROWS, run_id="run-2")
        Recorder(database, run_id="run-2").record(later)
    no_database(path, random.Random(1))
    Database.open_or_renew(path, backups).close()
    (said,) = loud(log)
    assert said["backup"] == str(copy)
    assert copy.read_bytes() == kept
    assert rows(path) == written  # and the later one only where the damaged file still has it
    path.unlink()
    path.touch()
    Database.open_or_renew(path, backups).close()
    assert "is empty, and was not" in loud(log)[-1]["reason"]
    assert rows(path) == written


def test_a_torn_log_beside_a_torn_database_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """What a power cut and a lying card leave together: the rows of the last minutes are in the log alone."""
    with Database.open(tmp_path / "db") as database:
        recorder = Recorder(database, run_id="run-1")
        for second in range(40):
            recorder.record(detection(second))
        (tmp_path / "torn").mkdir()
        path = tmp_path / "torn" / "db"
        path.write_bytes(random.Random(1).randbytes(PAGE))
        log = (tmp_path / "db-wal").read_bytes()
        # Without its first word it is no log for SQLite.
        path.with_name("db-wal").write_bytes(bytes(4) + log[4:-50_000])
    Database.open_or_renew(path).close()
    found = rows(path)
    assert found == [detection(second) for second in range(len(found))]
    assert len(found) > 20


def test_what_there_was_no_time_to_read_is_read_at_the_next_start(
    tmp_path: Path, log: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "db"
    written = fill(path)
    with Database.open_or_renew(path) as database:
        recorder = Recorder(database, run_id="run-2")
        with monkeypatch.context() as patch:
            patch.setattr(module, "LISTENING_SECONDS", 0.0)
            database.suspect("damage")
            recorder.record(detection(ROWS, run_id="run-2"))
        assert recorder.pending == 0
        assert "the rest is at the next start" in loud(log)[0]["taken_over"]
        assert recorder.close()
    assert len(rows(path)) == 1
    Database.open_or_renew(path).close()
    assert rows(path) == [*written, detection(ROWS, run_id="run-2")]
    assert not list(tmp_path.glob("*.unread"))
    log.clear()
    Database.open_or_renew(path).close()
    assert log == []


KILLED = """
import os, signal, sys
from pathlib import Path
from birdwatchd.store import renewal, salvage
from birdwatchd.store.backup import Backups
from birdwatchd.store.database import Database
from birdwatchd.store.rest import Rest

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def written_and_noted(rest, page):
    reach(rest, page)
    die()

salvage._CHUNK, reach = 200, Rest.reach
match sys.argv[1]:
    case "renamed":
        renewal.open_for_writing = die
    case "begun":
        renewal.salvage = die
    case "written":
        Rest.reach = die
    case "noted":
        Rest.reach = written_and_noted
path = Path(sys.argv[2])
Database.open_or_renew(path, Backups(path.parent / "backups", keep=2, most_megabytes=100))
"""


@pytest.mark.parametrize("when", ["renamed", "begun", "written", "noted"])
def test_whoever_is_killed_while_it_is_begun_anew_goes_on_with_it_at_the_next_start(
    tmp_path: Path, log: list[Any], backups: Backups, when: str
) -> None:
    path = tmp_path / "db"
    written = fill(path)
    with Database.open(path) as database:
        with database.transaction() as connection:
            connection.execute("INSERT INTO clock_steps VALUES ('run-0', 'garden', 7, ?, 3.5, NULL)", (T,))
        assert backups.make(database)
    random_pages(path, random.Random(1))
    child = subprocess.run([sys.executable, "-c", KILLED, when, str(path)], check=False, timeout=120)
    assert child.returncode == -signal.SIGKILL
    with Database.open_or_renew(path, backups) as database:
        assert len(database.rows("SELECT * FROM clock_steps")) == 1
        assert len(database.rows("SELECT * FROM deliveries")) == ROWS
    assert rows(path) == written
    (said,) = loud(log)
    assert "damaged" in said["reason"]
    assert said["moved_to"] in map(str, tmp_path.glob("db.damaged-*"))
    assert not list(tmp_path.glob("*.unread"))
    log.clear()
    Database.open_or_renew(path, backups).close()
    assert log == []


def test_a_full_disk_that_leaves_no_room_for_a_new_one_at_first_costs_no_row(
    tmp_path: Path, log: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, gave_way = tmp_path / "db", list[str]()
    written = fill(path)
    header_garbage(path, random.Random(1))

    def open_for_writing(path: Path) -> sqlite3.Connection:
        if not gave_way:
            raise FullError("the disk is full")
        return opening.open_for_writing(path)

    monkeypatch.setattr(renewal, "open_for_writing", open_for_writing)
    Database.open_or_renew(path, give_way=lambda: gave_way.append("clips")).close()
    assert gave_way == ["clips"]
    assert rows(path) == written
    assert len(loud(log)) == 1


def test_what_takes_several_starts_to_read_goes_on_where_the_last_one_ended(
    tmp_path: Path, log: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "db"
    written = fill(path)
    pages = path.stat().st_size / PAGE
    header_garbage(path, random.Random(1))
    seconds = itertools.count()  # one for each page
    monkeypatch.setattr(salvage, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    monkeypatch.setattr(renewal, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    monkeypatch.setattr(module, "STARTING_SECONDS", pages / 4)
    monkeypatch.setattr(renewal, "STARTING_SECONDS", pages / 4)
    found = []
    for _ in range(6):
        with Database.open_or_renew(path) as database:
            found.append(
                sum(map(len, map(database.rows, ("SELECT * FROM detections", "SELECT * FROM deliveries"))))
            )
    assert rows(path) == written
    assert found[0] < found[1] < found[2] < found[5] == 2 * ROWS
    assert not list(tmp_path.glob("*.unread"))
    assert len(loud(log)) == 1


def test_a_mark_that_nobody_can_read_or_whose_database_is_gone_stops_no_start(tmp_path: Path) -> None:
    path, aside = tmp_path / "db", tmp_path / "db.damaged-20260509T044210Z"
    torn, gone = tmp_path / f"{aside.name}.unread", tmp_path / "db.damaged-20260101T000000Z.unread"
    written = fill(aside, 50)
    torn.write_text('{"reason": "dam')
    gone.touch()
    Database.open_or_renew(path).close()
    assert rows(path) == written
    assert not torn.exists()
    assert not gone.exists()


def test_rows_that_are_older_than_a_column_are_read_too(tmp_path: Path) -> None:
    """SQLite adds a column to a table, not to its rows."""
    path = tmp_path / "db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "STEPS", STEPS[:2])
        with Database.open(path) as database, database.transaction() as connection:
            connection.execute(
                "INSERT INTO runs VALUES ('run-1', ?, ?, ?, '1', 'tiny-1', 'wood', '')", 3 * (T,)
            )
            row = detections.to_row(detection())[: detections.COLUMNS.index("state") + 1]
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO detections VALUES ({marks})", row)  # noqa: S608 - question marks
    Database.open(path).close()
    header_garbage(path, random.Random(1))
    Database.open_or_renew(path).close()
    assert rows(path) == [detection()]


T = "2026-05-09T04:42:10.000000Z"


def test_of_rows_that_are_no_longer_what_was_written_none_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "db"
    written = fill(path, 50)
    content = path.read_bytes()
    for old, new in (
        (b"2026-05-09T04:42:11", b"2026-05-09T04:42:\xff1"),
        (b"2026-05-09T04:42:12", b"2026-99-09T04:42:12"),
    ):
        content = content.replace(old, new)
    path.write_bytes(b"\0" * 100 + content[100:])
    Database.open_or_renew(path).close()
    found = rows(path)
    assert found == [one for one in written if one.start.second not in (11, 12) or one.start.minute != 42]


@pytest.mark.parametrize(
    "kind", ["header garbage", "random pages", "flipped bytes", "truncated", "no database"]
)
def test_damage_in_the_middle_of_a_run_costs_nothing_that_comes_after(
    tmp_path: Path, log: list[Any], kind: str
) -> None:
    path, action = tmp_path / "db", Notebook(config("tell"))
    before = fill(path)
    with post(path, action) as opened:
        early = opened.hear(*range(ROWS, ROWS + 20))
        opened.wait_for(["done"] * (ROWS + 20), "tell")
        opened.database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        DAMAGES[kind][0](path, random.Random(1))
        late = opened.hear(*range(ROWS + 20, ROWS + 60))
        wait_until(lambda: set(action.done) >= {*early, *late})
        assert opened.recorder.pending == 0
        assert opened.recorder.flush()
        assert opened.recorder.fault == ""
        assert opened.recorder.close()
    assert len(loud(log)) <= 1
    found = {one.id: one for one in rows(path)}
    assert found.keys() >= set(late)
    assert found.keys() <= {one.id for one in before} | {*early, *late}
    if not loud(log):
        # Where no page was touched that had to be read again it goes unseen until the backup, or the next start.
        Database.open_or_renew(path).close()
    if loud(log):
        assert "detections" in loud(log)[0]["taken_over"] or kind == "no database"
    else:
        # The page was written anew from memory, and is well.
        assert {one.id for one in rows(path)} == {one.id for one in before} | {*early, *late}


def test_a_log_that_is_overwritten_while_it_is_in_use(tmp_path: Path, log: list[Any]) -> None:
    path, action = tmp_path / "db", Notebook(config("tell"))
    with post(path, action) as opened:
        opened.hear(*range(20))
        opened.wait_for(["done"] * 20, "tell")
        with path.with_name("db-wal").open("r+b") as file:
            file.write(random.Random(1).randbytes(path.with_name("db-wal").stat().st_size))
        late = opened.hear(*range(100, 140))
        wait_until(lambda: set(action.done) >= set(late))
        assert opened.recorder.close()
    assert len(loud(log)) == 1
    assert {one.id for one in rows(path)} >= set(late)


def test_a_database_that_is_taken_away_is_begun_anew(tmp_path: Path, log: list[Any]) -> None:
    path, action = tmp_path / "db", Notebook(config("tell"))
    with post(path, action) as opened:
        opened.hear(0)
        opened.wait_for(["done"], "tell")
        path.rename(tmp_path / "taken")
        late = opened.hear(10, 20)
        opened.wait_for(["done"] * 2, "tell")
        assert opened.recorder.close()
    assert [one.id for one in rows(path)] == late
    assert [one.start_sample for one in rows(tmp_path / "taken")] == [0]
    assert "taken away" in loud(log)[0]["reason"]


@pytest.mark.parametrize("how", ["the folder is away", "the disk does not answer"])
def test_a_database_that_cannot_be_reached_for_a_while_is_the_same_when_it_is_back(
    tmp_path: Path, log: list[Any], how: str
) -> None:
    folder, away, clock = tmp_path / "disk", tmp_path / "away", Clock()
    path = folder / "db"
    fill(path, 20)
    with Database.open_or_renew(path) as database:
        recorder = Recorder(database, run_id="run-2", monotonic=clock)
        inode = path.stat().st_ino
        with pytest.MonkeyPatch.context() as patch:
            if how == "the folder is away":
                folder.rename(away)
            else:
                patch.setattr(Path, "stat", out_of_order)
            recorder.record(detection(100, run_id="run-2"))
            assert recorder.pending == 1
            assert "cannot be reached" in recorder.fault
        if how == "the folder is away":
            away.rename(folder)
        clock.seconds += 31
        recorder.record(detection(101, run_id="run-2"))
        assert recorder.close()
    assert path.stat().st_ino == inode
    assert len(rows(path)) == 22
    assert not loud(log)
    assert not list(folder.glob("db.damaged-*"))


def test_a_disk_that_comes_back_while_it_is_looked_at_has_nothing_moved_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "db"
    fill(path, 20)
    with Database.open_or_renew(path) as database:
        stat, inode, looks = Path.stat, path.stat().st_ino, itertools.count()

        def away_at_first(self: Path, **how: Any) -> os.stat_result:
            if self == path and next(looks) == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return stat(self, **how)

        monkeypatch.setattr(Path, "stat", away_at_first)
        with pytest.raises(StoreError, match="cannot be reached"):
            database.renew()
        with pytest.raises(StoreError, match="could not be reached for a moment"):
            database.renew()
    assert path.stat().st_ino == inode
    assert not list(tmp_path.glob("db.damaged-*"))


@pytest.mark.parametrize(
    ("place", "number"),
    [("renewal.find_place", errno.EIO), ("renewal.move_aside", errno.EROFS), ("rest.whole", errno.ENOSPC)],
)
def test_a_damaged_database_that_cannot_be_moved_just_now_is_begun_anew_later(
    tmp_path: Path, log: list[Any], place: str, number: int
) -> None:
    path, clock = tmp_path / "db", Clock()
    fill(path, 20)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with Database.open_or_renew(path) as database:
        recorder = Recorder(database, run_id="run-2", monotonic=clock)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"birdwatchd.store.{place}", refuse)
            database.suspect("damage")
            recorder.record(detection(100, run_id="run-2"))
            assert recorder.pending == 1
            assert os.strerror(number) in recorder.fault
            assert not list(tmp_path.glob("*.unread"))
        clock.seconds += 31
        recorder.record(detection(101, run_id="run-2"))
        assert recorder.close()
    assert len(rows(path)) == 22
    assert len(loud(log)) == 1


def out_of_order(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_database_that_is_replaced_is_gone_on_with(tmp_path: Path) -> None:
    """Somebody puts a backup in its place, and does not stop the daemon for it."""
    path, other = tmp_path / "db", tmp_path / "other"
    restored = fill(other, 30)
    with post(path, Notebook(config("tell"))) as opened:
        opened.hear(100)
        other.replace(path)
        late = opened.hear(110)
        assert opened.recorder.close()
    assert [one.id for one in rows(path)] == [*(one.id for one in restored), *late]


def test_where_a_new_one_is_damaged_at_once_detections_wait_in_memory(tmp_path: Path) -> None:
    """Memory or a card that breaks everything: a new file every half minute would help nobody."""
    path = tmp_path / "db"
    fill(path)
    clock = Clock()
    with Database.open(path) as database:
        recorder = Recorder(database, run_id="run-2", monotonic=clock)
        for turn in range(5):
            database.suspect(f"damage {turn}")
            recorder.record(detection(ROWS + turn, run_id="run-2"))
            clock.seconds += 60
        assert recorder.pending == 4
        assert "was begun anew a moment ago" in recorder.fault
        assert len(list(tmp_path.glob("db.damaged-*Z"))) == 1
        clock.seconds += 600
        assert recorder.flush()
    assert len([one for one in tmp_path.glob("db.damaged-*") if one.name[-4:] not in ("-wal", "-shm")]) == 2
    assert len(rows(path)) == ROWS + 5


def test_nothing_that_was_set_aside_is_ever_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "db"
    for number in range(3):
        path.write_text(f"damage {number}")
        Database.open_or_renew(path).close()
        path.unlink()
    assert sorted(one.read_text() for one in tmp_path.glob("db.damaged-*")) == [
        f"damage {one}" for one in range(3)
    ]


def test_of_what_is_set_aside_again_and_again_the_first_the_newest_and_the_unread_stay(
    tmp_path: Path, log: list[Any]
) -> None:
    path = tmp_path / "db"
    fill(path, 3)
    for day in range(1, 8):
        for end in ("", "-wal", "-shm"):
            (tmp_path / f"db.damaged-2026050{day}T044210Z{end}").write_bytes(b"")
    (tmp_path / "db.damaged-20260502T044210Z.unread").touch()
    (tmp_path / "db.damaged-20260504T044210Z.mine").touch()
    header_garbage(path, random.Random(1))
    Database.open_or_renew(path).close()
    assert len(rows(path)) == 3
    (aside,) = (said["moved_to"] for said in loud(log))
    left = sorted(one.name for one in tmp_path.glob("db.damaged-*Z"))
    days = [f"db.damaged-2026050{day}T044210Z" for day in (1, 2, 5, 6, 7)]
    assert left == [*days, Path(aside).name]
    assert (tmp_path / "db.damaged-20260504T044210Z.mine").exists()
    assert sorted(one.name for one in tmp_path.glob("db.damaged-*-wal")) == [f"{one}-wal" for one in days]


@needs_root
def test_where_it_cannot_be_moved_that_is_a_sentence(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        path = disk / "db"
        fill(path, 50)
        header_garbage(path, random.Random(1))
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(StoreError, match="Read-only file system"):
            Database.open_or_renew(path)
