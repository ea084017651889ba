from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from birdwatchd.errors import UserError
from birdwatchd.times import midnight, parse_moment, parse_seconds, show_clock, show_time
from tests.rows import machine_zone

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 5, 9, 12, 0, tzinfo=BERLIN)


def local(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-05-09 12:00"),
        ("07:42", "2026-05-09 07:42"),
        ("7:42", "2026-05-09 07:42"),
        ("07:42:10", "2026-05-09 07:42:10"),
        ("07:42:10.5", "2026-05-09 07:42:10.500"),
        ("12:00", "2026-05-09 12:00"),
        ("12:01", "2026-05-08 12:01"),
        ("today", "2026-05-09 00:00"),
        ("Today 07:42", "2026-05-09 07:42"),
        ("yesterday", "2026-05-08 00:00"),
        ("yesterday 21:15", "2026-05-08 21:15"),
        ("2h", "2026-05-09 10:00"),
        ("90min ago", "2026-05-09 10:30"),
        ("1.5 h", "2026-05-09 10:30"),
        ("3d", "2026-05-06 12:00"),
        ("45s", "2026-05-09 11:59:15"),
        ("2026-05-01", "2026-05-01 00:00"),
        ("2026-05-01 07:42", "2026-05-01 07:42"),
        ("2026-05-01T07:42:10", "2026-05-01 07:42:10"),
        ("2026-05-01T07:42:10Z", "2026-05-01 09:42:10"),
        ("2026-05-01T07:42:10+02:00", "2026-05-01 07:42:10"),
        (" 07:42 ", "2026-05-09 07:42"),
    ],
)
def test_people_say_when_in_many_ways(text: str, expected: str) -> None:
    assert parse_moment(text, NOW, BERLIN) == local(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", "2026-05-10"),
        ("yesterday", "2026-05-09"),
        ("2026-05-01", "2026-05-02"),
        ("07:42", "2026-05-09 07:42"),
    ],
)
def test_a_day_that_ends_something_is_meant_whole(text: str, expected: str) -> None:
    assert parse_moment(text, NOW, BERLIN, end_of_day=True) == local(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7.42",
        "9:99",
        "25:00",
        "tomorrow",
        "yesterday noon",
        "2026-13-01",
        "2026-02-30",
        "2h30",
        "99999999999d",
        "-2h",
        "0001-01-01",
        "9999-12-31 23:59:59-14:00",
    ],
)
def test_what_means_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UserError, match=r"is no time; write for example 07:42, yesterday"):
        parse_moment(text, NOW, BERLIN)


def test_the_last_day_has_no_end() -> None:
    with pytest.raises(UserError, match="is no time"):
        parse_moment("9999-12-31", NOW, BERLIN, end_of_day=True)


def test_a_clock_time_before_the_clocks_changed_is_a_day_back_not_24_hours() -> None:
    now = local("2026-03-29 12:00")  # that night lost an hour
    assert parse_moment("13:00", now, BERLIN) == local("2026-03-28 13:00")


def test_hours_ago_are_real_hours() -> None:
    now = local("2026-03-29 04:00")
    assert parse_moment("2h", now, BERLIN) == local("2026-03-29 01:00")


def test_without_a_zone_it_is_the_machines_own_summer_and_winter() -> None:
    with machine_zone("America/New_York"):
        now = datetime(2026, 5, 9, 12, 0, tzinfo=UTC)
        assert parse_moment("2026-01-15 07:00", now, None) == datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
        assert parse_moment("2026-07-15 07:00", now, None) == datetime(2026, 7, 15, 11, 0, tzinfo=UTC)
        assert show_time(datetime(2026, 1, 15, 12, 0, tzinfo=UTC), None) == "2026-01-15 07:00:00"
        assert midnight(datetime(2026, 3, 8, 18, 0, tzinfo=UTC), None) == datetime(
            2026, 3, 8, 5, 0, tzinfo=UTC
        )


def test_times_are_shown_in_the_zone() -> None:
    moment = datetime(2026, 5, 9, 22, 30, 5, 999999, tzinfo=UTC)
    assert show_time(moment, BERLIN) == "2026-05-10 00:30:05"
    assert show_clock(moment, BERLIN) == "00:30:05"
    assert midnight(moment, BERLIN) == local("2026-05-10")


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("5m", 300), ("90", 90), ("1.5h", 5400), (" 2 min ", 120)]
)
def test_lengths(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5 parsecs"])
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no length of time"):
        parse_seconds(text)
