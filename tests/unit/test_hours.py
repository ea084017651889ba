"""Hours of the day: right across changes of the clock, at the poles, and where nobody knows where the station stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdwatchd.config.schema import Location
from birdwatchd.hours import Hours
from birdwatchd.sun import Sky

BERLIN = ZoneInfo("Europe/Berlin")
WEDDING = Location(latitude=52.55, longitude=13.36)
TROMSO = Location(latitude=69.65, longitude=18.96)
SECOND = timedelta(seconds=1)


def hours(*spans: str, place: Location | None = WEDDING, zone: ZoneInfo = BERLIN) -> Hours:
    return Hours(spans, zone, Sky(place, zone) if place else None)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def length(of: Hours, day: str) -> timedelta:
    """How much of the day from noon to noon lies inside, by asking every minute."""
    noon = berlin(f"{day}T12:00")
    minutes = (berlin(f"{day}T12:00") + timedelta(minutes=one) for one in range(26 * 60))
    until = datetime.fromisoformat(day).replace(hour=12, tzinfo=BERLIN) + timedelta(days=1)
    return timedelta(minutes=sum(of.hold(one) for one in minutes if noon <= one < until.astimezone(UTC)))


@pytest.mark.parametrize(
    ("day", "night_hours"),
    [("2026-03-27", 8), ("2026-03-28", 7), ("2026-10-24", 9), ("2026-10-25", 8)],
)
def test_a_night_is_as_long_as_the_clock_makes_it(day: str, night_hours: int) -> None:
    """In the night to 29 March an hour is missing, in that to 25 October one is there twice."""
    assert length(hours("22:00..06:00"), day) == timedelta(hours=night_hours)


def test_the_hour_that_is_there_twice_is_inside_twice() -> None:
    twice = hours("02:00..03:00")
    begin = berlin("2026-10-25T02:00")
    assert twice.turn(begin) == (True, begin + timedelta(hours=2), True)


def test_the_hour_that_is_missing_is_never_inside() -> None:
    missing = hours("02:00..03:00")
    before = berlin("2026-03-29T01:59")
    assert not any(missing.hold(before + timedelta(minutes=one)) for one in range(120))
    assert missing.turn(before).until == berlin("2026-03-30T02:00")


def test_it_is_known_when_it_turns() -> None:
    day = hours("05:00..09:00", "18:00..20:00")
    assert day.turn(berlin("2026-05-09T04:00")) == (False, berlin("2026-05-09T05:00"), True)
    assert day.turn(berlin("2026-05-09T05:00")) == (True, berlin("2026-05-09T09:00"), True)
    assert day.turn(berlin("2026-05-09T09:00")) == (False, berlin("2026-05-09T18:00"), True)
    assert day.turn(berlin("2026-05-09T21:00")) == (False, berlin("2026-05-10T05:00"), True)


def test_spans_that_meet_or_overlap_are_one() -> None:
    assert hours("05:00..09:00", "09:00..11:00").turn(berlin("2026-05-09T06:00")).until == berlin(
        "2026-05-09T11:00"
    )
    assert hours("05:00..09:00", "08:00..11:00").turn(berlin("2026-05-09T06:00")).until == berlin(
        "2026-05-09T11:00"
    )


def test_all_day_never_turns() -> None:
    assert hours("00:00..24:00").turn(berlin("2026-10-24T12:00")) == (True, berlin("2026-11-01T11:00"), False)


def test_nothing_is_inside_a_sun_that_nobody_knows() -> None:
    unknown = hours("sunset..sunrise", place=None)
    assert not unknown.hold(berlin("2026-05-09T23:00"))
    assert unknown.turn(berlin("2026-05-09T23:00")).inside is False
    # What the clock says counts all the same.
    assert hours("sunset..sunrise", "12:00..13:00", place=None).hold(berlin("2026-05-09T12:30"))


def test_in_the_polar_night_it_is_night_all_day() -> None:
    oslo = ZoneInfo("Europe/Oslo")
    night = hours("sunset..sunrise", place=TROMSO, zone=oslo)
    winter = datetime(2026, 12, 21, tzinfo=UTC)
    assert all(night.hold(winter + timedelta(minutes=7 * one)) for one in range(400))
    turn = night.turn(winter)
    assert (turn.inside, turn.is_change) == (True, False)
    # The sun comes back in the middle of January.
    assert night.turn(datetime(2027, 1, 20, 0, tzinfo=UTC)).is_change


def test_in_the_polar_day_there_is_no_night_and_no_moment_without_day() -> None:
    oslo = ZoneInfo("Europe/Oslo")
    night = hours("sunset..sunrise", place=TROMSO, zone=oslo)
    day = hours("sunrise..sunset", place=TROMSO, zone=oslo)
    summer = datetime(2026, 6, 15, tzinfo=UTC)
    assert night.turn(summer) == (False, summer + timedelta(days=8), False)
    assert day.turn(summer) == (True, summer + timedelta(days=8), False)
    # Around the sun's midnight, second by second.
    midnight = datetime(2026, 6, 20, 22, 35, tzinfo=UTC)
    assert not any(night.hold(midnight + SECOND * one) for one in range(1800))
    assert all(day.hold(midnight + SECOND * one) for one in range(1800))


@settings(deadline=None, max_examples=60)
@given(
    spans=st.lists(
        st.sampled_from(
            [
                "22:00..06:00",
                "02:30..03:30",
                "sunset-30m..sunrise+1h",
                "dusk..24:00",
                "noon..noon+2h",
                "00:00..01:00",
            ]
        ),
        min_size=1,
        max_size=3,
        unique=True,
    ),
    moment=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - it takes them so
    latitude=st.floats(-80, 80),
)
def test_up_to_its_turn_it_stays_as_it_is(spans: list[str], moment: datetime, latitude: float) -> None:
    some = hours(*spans, place=Location(latitude=latitude, longitude=13.4))
    turn = some.turn(moment)
    assert turn.inside == some.hold(moment)
    assert moment < turn.until <= moment + timedelta(days=8)
    steps = 40
    for step in range(steps):
        assert some.hold(moment + (turn.until - moment) * step / steps) == turn.inside
    if turn.is_change:
        assert some.hold(turn.until) != turn.inside
        assert some.hold(turn.until - SECOND / 1000) == turn.inside


@settings(deadline=None, max_examples=150)
@given(
    moment=st.datetimes(datetime(2024, 1, 1), datetime(2032, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - it takes them so
    latitude=st.one_of(st.floats(-89, 89), st.floats(64, 72)),
    longitude=st.floats(-179, 179),
    zone=st.sampled_from(
        ["UTC", "Pacific/Kiritimati", "America/Los_Angeles", "Asia/Shanghai", "Europe/Oslo"]
    ),
)
def test_it_is_always_either_day_or_night(
    moment: datetime, latitude: float, longitude: float, zone: str
) -> None:
    place = Location(latitude=latitude, longitude=longitude)
    day, night = (
        hours(span, place=place, zone=ZoneInfo(zone)) for span in ("sunrise..sunset", "sunset..sunrise")
    )
    assert day.hold(moment) != night.hold(moment)
