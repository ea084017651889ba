"""The sun's day, also where it does not set or does not rise."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import astral
import astral.sun
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from birdwatchd.config.schema import Location
from birdwatchd.sun import HORIZON, Sky

TROMSO = Location(latitude=69.65, longitude=18.96)


def sky(latitude: float, longitude: float, zone: str) -> Sky:
    return Sky(Location(latitude=latitude, longitude=longitude), ZoneInfo(zone))


@pytest.mark.parametrize(
    ("place", "day", "sunrise", "sunset"),
    [
        ((52.52, 13.40, "Europe/Berlin"), date(2026, 6, 21), "04:43", "21:33"),
        ((40.71, -74.01, "America/New_York"), date(2026, 12, 21), "07:17", "16:32"),
        ((-33.87, 151.21, "Australia/Sydney"), date(2026, 12, 21), "05:41", "20:05"),
        ((39.47, 75.99, "Asia/Shanghai"), date(2026, 6, 21), "07:29", "22:26"),
    ],
)
def test_what_almanacs_say(place: tuple[float, float, str], day: date, sunrise: str, sunset: str) -> None:
    zone = ZoneInfo(place[2])
    for event, expected in (("sunrise", sunrise), ("sunset", sunset)):
        found = sky(*place).at(event, day).astimezone(zone)
        told = datetime.fromisoformat(f"{day}T{expected}").replace(tzinfo=zone)
        assert abs(found - told) < timedelta(minutes=2)


@settings(deadline=None, max_examples=60)
@example(latitude=69.25, longitude=0.0, day=date(2020, 1, 13), zone="UTC")  # the last day without a sunrise
@example(
    latitude=-63.0, longitude=-61.0, day=date(2020, 2, 18), zone="UTC"
)  # then two sunsets in a day of UTC
@given(
    latitude=st.floats(-89, 89),
    longitude=st.floats(-180, 180),
    day=st.dates(date(2020, 1, 1), date(2035, 12, 31)),
    zone=st.sampled_from(
        ["UTC", "Pacific/Kiritimati", "America/Los_Angeles", "Asia/Shanghai", "Europe/Oslo"]
    ),
)
def test_every_day_everywhere_has_its_events_in_order(
    latitude: float, longitude: float, day: date, zone: str
) -> None:
    above = sky(latitude, longitude, zone)
    events = [above.at(event, day) for event in ("dawn", "sunrise", "noon", "sunset", "dusk")]
    assert all(before <= after for before, after in pairwise(events))
    assert events[-1] - events[0] <= timedelta(hours=25)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone))
    assert abs(events[2] - noon) <= timedelta(hours=12.5)
    assert all(event.utcoffset() == timedelta() for event in events)


@settings(deadline=None, max_examples=60)
@given(latitude=st.floats(-65, 65), day=st.dates(date(2020, 1, 1), date(2035, 12, 31)))
def test_at_an_event_the_sun_is_where_it_should_be(latitude: float, day: date) -> None:
    above = sky(latitude, 10.0, "UTC")
    for event, degrees in HORIZON.items():
        if event in ("dawn", "dusk") and abs(latitude) > 58:
            continue  # there are nights without an end of twilight
        height = astral.sun.elevation(
            astral.Observer(latitude, 10.0),
            above.at(event, day),
            with_refraction=False,
        )
        assert abs(height - degrees) < 0.3


def test_when_it_does_not_set_it_is_up_from_midnight_to_midnight() -> None:
    above = Sky(TROMSO, ZoneInfo("Europe/Oslo"))
    for day in (date(2026, 6, 20), date(2026, 6, 21)):
        length = above.at("sunset", day) - above.at("sunrise", day)
        assert abs(length - timedelta(days=1)) < timedelta(minutes=1)
        assert above.at("dawn", day) == above.at("sunrise", day)
    # Without a moment between one day and the next.
    assert above.at("sunrise", date(2026, 6, 21)) == above.at("sunset", date(2026, 6, 20))


def test_when_it_does_not_rise_it_rises_and_sets_at_noon() -> None:
    above = Sky(TROMSO, ZoneInfo("Europe/Oslo"))
    noon = above.at("noon", date(2026, 12, 21))
    assert above.at("sunrise", date(2026, 12, 21)) == above.at("sunset", date(2026, 12, 21)) == noon
    assert above.at("dawn", date(2026, 12, 21)) < noon < above.at("dusk", date(2026, 12, 21))


def test_a_day_is_the_zones_own() -> None:
    above = sky(
        1.87, -157.4, "Pacific/Kiritimati"
    )  # fourteen hours ahead of UTC, where the sun is ten behind it
    sunrise = above.at("sunrise", date(2026, 3, 20))
    assert sunrise.astimezone(ZoneInfo("Pacific/Kiritimati")).date() == date(2026, 3, 20)
    assert sunrise.astimezone(UTC).date() == date(2026, 3, 19)


def test_no_sunset_is_lost_where_a_day_of_utc_has_two() -> None:
    above = sky(-63.0, -61.0, "UTC")
    sunsets = [above.at("sunset", date(2020, 2, day)) for day in (17, 18, 19)]
    for before, after in pairwise(sunsets):
        assert timedelta(hours=23, minutes=55) < after - before < timedelta(days=1)
