from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from birdwatchd.balance import balance_of
from birdwatchd.store.database import Database
from birdwatchd.store.ledger import between, heard_by_day, newest_hour, roll_up
from tests.rows import entry, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = [
    entry(10.0),
    entry(20.0, hours=1),
    entry(2.0, "lost", "gone", hours=1),
    entry(5.0, hours=3, source="wood"),
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    write(tmp_path / "db", *ROWS)
    with Database.open(tmp_path / "db", read_only=True) as opened:
        yield opened


def test_hours_come_back_oldest_first(database: Database) -> None:
    assert between(database) == ROWS
    assert between(database, ROWS[1].hour) == ROWS[1:]
    assert between(database, None, ROWS[1].hour) == ROWS[:1]
    assert between(database, ROWS[1].hour, ROWS[3].hour) == ROWS[1:3]


def test_the_newest_hour_is_found(database: Database) -> None:
    assert newest_hour(database) == ROWS[3].hour
    assert newest_hour(database, ROWS[3].hour) == ROWS[1].hour
    assert newest_hour(database, ROWS[0].hour - timedelta(days=1)) is None


def test_long_ago_only_whole_days_are_kept_and_no_second_is_lost(tmp_path: Path) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    # Dawn is on 9 May; from 22:00 UTC on it is the 10th in Berlin.
    hours = range(40)
    rows = [entry(3600.0 - hour, hours=hour) for hour in hours]
    rows += [entry(float(hour + 1), "lost", "gone", hours=hour) for hour in hours if hour % 3 == 0]
    rows += [entry(60.0, hours=hour, source="wood") for hour in hours]
    write(tmp_path / "db", *rows)
    with Database.open(tmp_path / "db") as database:
        before = between(database)
        limit = rows[0].hour + timedelta(hours=30)
        spared = roll_up(database, limit, berlin)
        after = between(database)
        assert len(after) == len(before) - spared
        assert roll_up(database, limit, berlin) == 0
    # The 9th is over, the 10th is not.
    (captured, lost), (wood,) = (
        [one for one in after if one.hour == rows[0].hour and one.source == source]
        for source in ("garden", "wood")
    )
    assert (captured.kind, captured.seconds) == ("captured", sum(3600.0 - hour for hour in range(18)))
    assert (lost.cause, lost.seconds) == ("gone", sum(hour + 1 for hour in range(18) if hour % 3 == 0))
    assert wood.seconds == 18 * 60
    assert sorted({one.hour for one in after})[1] == rows[0].hour + timedelta(hours=18)
    for kind in ("captured", "lost"):
        assert sum(one.seconds for one in after if one.kind == kind) == pytest.approx(
            sum(one.seconds for one in before if one.kind == kind)
        )


def test_by_day_the_ledger_says_the_same_as_before(tmp_path: Path) -> None:
    write(tmp_path / "db", *(entry(3600.0 - hour, hours=hour) for hour in range(100)))
    for zone in (UTC, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/Havana")):
        with Database.open(tmp_path / "db") as database:
            before = balance_of(between(database), "day", zone)
            roll_up(database, entry(0.0, hours=90).hour, zone)
            assert balance_of(between(database), "day", zone).keys() == before.keys()
            if zone is UTC:  # then it is rolled up by another zone's days
                assert balance_of(between(database), "day", zone) == before


def test_by_day_of_several_sources_the_longest_hour_counts(tmp_path: Path) -> None:
    # Dawn is at 4 UTC; 22 UTC is midnight in Berlin.
    rows = [
        entry(3000),
        entry(3600, source="wood"),
        entry(3600, "expected"),
        *(entry(3600, hours=hour) for hour in (17, 18, 41)),
        entry(60, hours=42, source="wood"),
    ]
    with Database.open(write(tmp_path / "db", *rows)) as database:
        hour = rows[0].hour
        span = hour - timedelta(days=1), hour + timedelta(days=9), ZoneInfo("Europe/Berlin")
        days = {day.isoformat(): seconds for day, seconds in heard_by_day(database, *span).items()}
        assert days == {"2026-05-09": 7200, "2026-05-10": 7200, "2026-05-11": 60}
        alone = {day.isoformat(): seconds for day, seconds in heard_by_day(database, *span, "wood").items()}
        assert alone == {"2026-05-09": 3600, "2026-05-11": 60}


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_by_day_a_day_is_as_long_as_its_clocks_say(tmp_path: Path, day: str, hours: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    noon = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=berlin).astimezone(UTC)
    first = round((noon - ROWS[0].hour) / timedelta(hours=1))
    rows = [entry(3600, hours=first + hour) for hour in range(-48, 49)]
    with Database.open(write(tmp_path / "db", *rows)) as database:
        days = heard_by_day(database, noon - timedelta(days=2), noon + timedelta(days=2), berlin)
    assert days[date.fromisoformat(day)] == hours * 3600
    assert days[date.fromisoformat(day) - timedelta(days=1)] == 24 * 3600
