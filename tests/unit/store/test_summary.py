from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from birdwatchd.store.database import Database
from birdwatchd.store.recorder import Recorder
from birdwatchd.store.summary import Summaries, summary
from tests.rows import BLACKBIRD, DAWN, GREAT_TIT, detection, entry, write

if TYPE_CHECKING:
    from pathlib import Path

DAY, BERLIN = 86400, ZoneInfo("Europe/Berlin")


def test_a_day_has_its_species_most_first(tmp_path: Path) -> None:
    rows = [detection(0), detection(10, BLACKBIRD), detection(20, BLACKBIRD), detection(DAY), detection(-DAY)]
    with Database.open(write(tmp_path / "db", *rows), read_only=True) as database:
        found = summary(database, "wood", date(2026, 5, 9), BERLIN)
        assert (found.node, found.day) == ("wood", date(2026, 5, 9))
        assert found.counts == ((BLACKBIRD, 2), (GREAT_TIT, 1))
        assert summary(database, "wood", date(2026, 5, 20), BERLIN).counts == ()


def at(day: int, hour: int, minute: int = 1) -> datetime:
    return datetime(2026, 5, day, hour, minute, tzinfo=BERLIN)


def test_a_day_is_told_once_also_after_a_restart(tmp_path: Path) -> None:
    path = write(tmp_path / "db", detection(0), entry(3600))
    for first in (True, False):
        with Database.open(path) as database:
            summaries = Summaries(database, "wood", lambda: BERLIN)
            assert summaries.due(at(9, 23)) is None  # it is not over
            found = summaries.due(at(10, 0))
            assert (found is not None) is first
            if found is not None:
                assert (found.day, found.counts) == (date(2026, 5, 9), ((GREAT_TIT, 1),))
                assert summaries.due(at(10, 1)) == found  # as it was not told yet
                summaries.note(found)
            assert summaries.due(at(10, 8)) is None
            summaries.close()


def test_a_day_is_told_once_also_where_the_disk_takes_no_note_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk cannot be had here: its answer is put in."""

    def full(_: Database) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with Database.open(write(tmp_path / "db", detection(0), entry(3600))) as database:
        summaries = Summaries(database, "wood", lambda: BERLIN)
        found = summaries.due(at(10, 0))
        assert found is not None
        with monkeypatch.context() as patch:
            patch.setattr(Database, "transaction", full)
            with pytest.raises(sqlite3.OperationalError):
                summaries.note(found)
        assert summaries.due(at(10, 1)) is None
        summaries.close()


def test_a_day_whose_midnight_was_missed_is_told_later(tmp_path: Path) -> None:
    # The time in between was written down as off: nobody listened.
    path = write(tmp_path / "db", detection(0), entry(3600), entry(3600, "off", "died", hours=40))
    with Database.open(path) as database:
        summaries = Summaries(database, "wood", lambda: BERLIN)
        found = summaries.due(at(13, 9))
        assert found is not None
        assert found.day == date(2026, 5, 9)
        summaries.note(found)
        assert summaries.due(at(14, 0)) is None  # nothing was heard since
        summaries.close()


def test_a_day_that_a_clock_cut_short_is_told_again_when_it_is_over(tmp_path: Path) -> None:
    with Database.open(tmp_path / "db") as database:
        recorder = Recorder(database, run_id="run-1", wall=lambda: DAWN)
        recorder.account([entry(3600)])
        recorder.record(detection(0))
        summaries = Summaries(database, "wood", lambda: BERLIN)
        ahead = summaries.due(at(9, 9) + timedelta(days=366))
        assert ahead is not None
        summaries.note(ahead)
        recorder.record(detection(3600))
        found = summaries.due(at(10, 0))
        assert found is not None
        assert (ahead.day, found.day) == (found.day, date(2026, 5, 9))
        assert [sum(count for _, count in one.counts) for one in (ahead, found)] == [1, 2]
        summaries.close()


def test_the_days_on_which_clocks_change_have_all_their_hours(tmp_path: Path) -> None:
    """Of 25 hours in autumn and 23 in spring, from midnight to midnight."""
    for day, hours in ((date(2026, 10, 25), 25), (date(2027, 3, 28), 23)):
        midnight = datetime.combine(day, datetime.min.time(), BERLIN).astimezone(UTC)
        rows = [detection((midnight - DAWN).total_seconds() + hour * 3600) for hour in range(-1, 26)]
        with Database.open(write(tmp_path / f"{day}", *rows), read_only=True) as database:
            ((_, count),) = summary(database, "wood", day, BERLIN).counts
        assert count == hours


def test_it_is_found_without_taking_the_recorders_turn(tmp_path: Path) -> None:
    """A day of many detections holds nobody up: it is read while somebody writes."""
    with Database.open(write(tmp_path / "db", detection(0), entry(3600))) as database:
        summaries = Summaries(database, "wood", lambda: BERLIN)
        writes, is_found = threading.Event(), threading.Event()

        def write_for_long() -> bool:
            with database.transaction():
                writes.set()
                return is_found.wait(30)

        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(write_for_long)
            assert writes.wait(30)
            assert summaries.due(at(10, 0)) is not None
            is_found.set()
            assert written.result()
        summaries.close()
