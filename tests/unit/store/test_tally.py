"""The third of the day, the first of the season, the first ever: in the station's zone, and the same on a replay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from birdwatchd.domain import Detection, Tally
from birdwatchd.store import detections, tally
from birdwatchd.store.database import Database
from birdwatchd.store.recorder import Recorder
from tests.rows import BLACKBIRD, DAWN, detection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Callable[[Detection], Tally]]:
    """Writes a detection and counts it."""
    with Database.open(tmp_path / "db") as database:
        Recorder(database, run_id="run-1")

        def record(found: Detection) -> Tally:
            with database.transaction() as connection:
                detections.write(connection, [detections.to_row(found)])
                return tally.count(connection, found, BERLIN)

        yield record


def at(when: datetime) -> Detection:
    return detection((when - DAWN).total_seconds())


def test_the_first_of_all_is_the_first_of_everything(record: Callable[[Detection], Tally]) -> None:
    assert record(detection(0)) == Tally(1, first_today=True, first_of_season=True, first_ever=True)
    assert record(detection(60)) == Tally(2, first_today=False, first_of_season=False, first_ever=False)
    assert record(detection(70, BLACKBIRD)) == Tally(
        1, first_today=True, first_of_season=True, first_ever=True
    )


def test_a_day_begins_at_the_stations_midnight(record: Callable[[Detection], Tally]) -> None:
    midnight = datetime(2026, 5, 10, tzinfo=BERLIN).astimezone(UTC)
    record(at(midnight - timedelta(seconds=1)))
    assert record(at(midnight)) == Tally(1, first_today=True, first_of_season=False, first_ever=False)
    assert record(at(midnight + timedelta(hours=23.9))).count_today == 2


def test_a_day_of_25_hours_is_one_day(record: Callable[[Detection], Tally]) -> None:
    midnight = datetime(2026, 10, 25, tzinfo=BERLIN).astimezone(UTC)
    record(at(midnight))
    assert record(at(midnight + timedelta(hours=24.5))).count_today == 2
    assert record(at(midnight + timedelta(hours=25))).count_today == 1


def test_what_is_told_at_the_end_is_what_was_told_at_the_start(record: Callable[[Detection], Tally]) -> None:
    first = record(detection(0, state="started"))
    record(detection(5))
    assert record(detection(0)) == first


def test_a_replay_counts_nothing_twice(record: Callable[[Detection], Tally]) -> None:
    heard = [record(detection(second)) for second in (0, 60, 120)]
    assert [record(detection(second)) for second in (0, 60, 120)] == heard


def test_an_older_recording_that_is_played_later_is_not_the_first_ever(
    record: Callable[[Detection], Tally],
) -> None:
    record(detection(0))
    older = record(at(DAWN - timedelta(days=400)))
    assert (older.first_ever, older.first_today, older.first_of_season) == (False, True, True)


def test_on_a_clock_that_was_not_set_nothing_is_the_first_of_a_season(
    record: Callable[[Detection], Tally],
) -> None:
    told = record(detection(0, dating="unset"))
    assert (told.first_ever, told.first_today, told.first_of_season) == (True, True, False)


@pytest.mark.parametrize(
    ("day", "begin", "end"),
    [
        (date(2026, 3, 1), date(2026, 3, 1), date(2026, 6, 1)),
        (date(2026, 5, 31), date(2026, 3, 1), date(2026, 6, 1)),
        (date(2026, 6, 1), date(2026, 6, 1), date(2026, 9, 1)),
        (date(2026, 11, 30), date(2026, 9, 1), date(2026, 12, 1)),
        (date(2026, 12, 1), date(2026, 12, 1), date(2027, 3, 1)),
        (date(2028, 2, 29), date(2027, 12, 1), date(2028, 3, 1)),
    ],
)
def test_seasons(day: date, begin: date, end: date) -> None:
    assert tally.season_of(day) == (begin, end)


def test_only_the_index_is_looked_at(tmp_path: Path) -> None:
    with Database.open(tmp_path / "db") as database, database.transaction() as connection:
        seen: list[str] = []
        connection.set_trace_callback(seen.append)
        tally.count(connection, replace(detection(0), id="x"), BERLIN)
        connection.set_trace_callback(None)
        plans = [row["detail"] for sql in seen for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert any("COVERING INDEX detections_by_species" in plan for plan in plans)
    assert not any(plan.startswith("SCAN detections") for plan in plans)
