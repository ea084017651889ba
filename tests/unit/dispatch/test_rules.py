"""The conditions of `when`: what they let through, and what they say where they do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdwatchd.config.schema import Location
from birdwatchd.config.trigger import ActionConfig
from birdwatchd.dispatch.rules import Rules
from birdwatchd.domain import Label
from birdwatchd.sun import Sky
from tests.doubles import sample_detection, sample_tally

BERLIN = ZoneInfo("Europe/Berlin")
WEDDING = Location(latitude=52.55, longitude=13.36)
TROMSO = Location(latitude=69.65, longitude=18.96)
OWL = Label(3, "Strix aluco", "Tawny Owl")


def rules(place: Location | None = WEDDING, zone: ZoneInfo = BERLIN, **settings: Any) -> Rules:
    config = ActionConfig.model_validate({"name": "one", "kind": "log", **settings})
    return Rules(config, zone, Sky(place, zone) if place else None)


def refusal(when: dict[str, Any], tally: dict[str, Any] | None = None, **detection: Any) -> str:
    return rules(when=when).refusal(sample_detection(**detection), sample_tally(**(tally or {})))


def is_in(span: str, moment: datetime, place: Location | None = WEDDING, zone: ZoneInfo = BERLIN) -> bool:
    said = rules(place, zone, when={"times": [span]}).refusal(sample_detection(start=moment), sample_tally())
    assert said == "" or said.startswith("when.times: ")
    return not said


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


@pytest.mark.parametrize(
    ("when", "detection", "sentence"),
    [
        ({}, {}, ""),
        ({"species": ["great tit"]}, {}, ""),
        ({"species": ["Turdus *", "parus MAJOR"]}, {}, ""),
        ({"species": ["*owl*"]}, {"label": OWL}, ""),
        ({"species": ["*owl*"]}, {}, "when.species: Great Tit is not among them"),
        ({"species": ["*"], "not_species": ["Parus *"]}, {}, "when.not_species: Great Tit is among them"),
        ({"min_score": 0.93}, {}, ""),
        ({"min_score": 0.95}, {}, "when.min_score: 0.93 is below 0.95"),
        ({"sources": ["pond", "garden"]}, {}, ""),
        ({"sources": ["pond"]}, {}, "when.sources: garden is not among them"),
        ({"times": ["06:00..07:00"]}, {}, ""),
        ({"times": ["07:00..08:00"]}, {}, "when.times: 06:42 is not in 07:00..08:00"),
        ({"times": ["07:00..08:00", "06:40..06:43"]}, {}, ""),
        ({"quiet": ["22:00..06:30"]}, {}, ""),
        ({"quiet": ["22:00..07:00"]}, {}, "when.quiet: 06:42 is in 22:00..07:00"),
        ({"times": ["06:00..08:00"], "quiet": ["06:40..06:45"]}, {}, "when.quiet: 06:42 is in 06:40..06:45"),
    ],
)
def test_each_condition(when: dict[str, Any], detection: dict[str, Any], sentence: str) -> None:
    assert refusal(when, **detection) == sentence


@pytest.mark.parametrize(
    ("first", "tally", "sentence"),
    [
        ("of_day", {"first_today": True}, ""),
        ("of_day", {}, "when.first: Great Tit was heard before today"),
        ("of_season", {"first_of_season": True}, ""),
        ("of_season", {"first_today": True}, "when.first: Great Tit was heard before in this season"),
        ("ever", {"first_ever": True}, ""),
        ("ever", {"first_of_season": True}, "when.first: Great Tit was heard before"),
    ],
)
def test_first(first: str, tally: dict[str, Any], sentence: str) -> None:
    assert refusal({"first": first}, tally) == sentence


def test_state_and_enabled() -> None:
    ended = sample_detection(state="ended")
    assert rules().refusal(ended, sample_tally()) == "on: a detection that has ended is not told"
    assert rules(on="ended").refusal(ended, sample_tally()) == ""
    assert rules(enabled=False).refusal(sample_detection(), sample_tally()) == "enabled: it is off"


@pytest.mark.parametrize(
    ("span", "moment", "inside"),
    [
        ("22:00..04:00", "2026-05-09T21:59:59", False),
        ("22:00..04:00", "2026-05-09T22:00:00", True),
        ("22:00..04:00", "2026-05-10T00:00:00", True),
        ("22:00..04:00", "2026-05-10T03:59:59", True),
        ("22:00..04:00", "2026-05-10T04:00:00", False),
        ("00:00..24:00", "2026-05-10T23:59:59", True),
        ("20:00..24:00", "2026-05-10T00:00:00", False),
        # Sunset 20:44 in Berlin on that day, sunrise 05:18 on the next.
        ("sunset..sunrise", "2026-05-09T20:40:00", False),
        ("sunset-30m..sunrise", "2026-05-09T20:20:00", True),
        ("sunset..sunrise", "2026-05-09T23:50:00", True),
        ("sunset..sunrise", "2026-05-10T05:10:00", True),
        ("sunset..sunrise", "2026-05-10T05:25:00", False),
        ("sunset..sunrise+1h", "2026-05-10T05:25:00", True),
        ("dawn..sunrise", "2026-05-10T05:00:00", True),
        ("dusk..23:00", "2026-05-10T21:00:00", False),
        ("dusk..23:00", "2026-05-10T22:00:00", True),
        # In June the sun sets after nine: there is nothing between.
        ("sunset..21:00", "2026-06-21T20:59:00", False),
        ("sunset..21:00", "2026-06-21T21:40:00", False),
        ("sunset+8h..sunrise", "2026-05-10T05:00:00", True),
        ("sunset+8h..sunrise", "2026-05-10T04:00:00", False),
        ("sunrise-8h..sunrise", "2026-05-09T21:30:00", True),
        ("noon..sunset", "2026-05-09T13:00:00", False),  # the sun's noon is at 13:03
        ("noon..sunset", "2026-05-09T13:06:00", True),
    ],
)
def test_times(span: str, moment: str, inside: bool) -> None:
    assert is_in(span, berlin(moment)) is inside


@pytest.mark.parametrize(
    ("span", "utc", "inside"),
    [
        # Set back at 03:00 summer time (01:00 UTC): 02:30 is there twice.
        ("01:00..02:30", "2026-10-25T00:29:00", True),
        ("01:00..02:30", "2026-10-25T01:29:00", True),
        ("01:00..02:30", "2026-10-25T01:30:00", False),
        ("02:30..04:00", "2026-10-25T00:30:00", True),
        # Set forward at 02:00 (01:00 UTC): 02:30 is not there.
        ("01:00..02:30", "2026-03-29T00:59:00", True),
        ("01:00..04:00", "2026-03-29T01:30:00", True),
        ("22:00..06:00", "2026-03-29T04:00:00", False),
        ("22:00..06:00", "2026-03-29T03:59:00", True),
    ],
)
def test_times_when_the_clocks_change(span: str, utc: str, inside: bool) -> None:
    assert is_in(span, datetime.fromisoformat(utc).replace(tzinfo=UTC)) is inside


@pytest.mark.parametrize(
    ("span", "moment", "inside"),
    [
        ("sunrise..sunset", "2026-06-21T00:10:00", True),
        ("sunrise..sunset", "2026-06-21T12:00:00", True),
        ("sunset..sunrise", "2026-06-21T12:00:00", False),
        ("dusk..dawn", "2026-06-21T23:59:00", False),
        ("sunrise..sunset", "2026-12-21T11:40:00", False),
        ("sunset..sunrise", "2026-12-21T11:40:00", True),
        ("sunset..sunrise", "2026-12-21T23:00:00", True),
        ("sunrise+30m..sunset-30m", "2026-12-21T18:00:00", False),
        ("dawn..dusk", "2026-12-21T11:40:00", True),
        ("dawn..dusk", "2026-12-21T16:00:00", False),
    ],
)
def test_times_of_polar_day_and_night(span: str, moment: str, inside: bool) -> None:
    oslo = ZoneInfo("Europe/Oslo")
    at = datetime.fromisoformat(moment).replace(tzinfo=oslo).astimezone(UTC)
    assert is_in(span, at, TROMSO, oslo) is inside


def test_without_a_place_there_is_no_sun() -> None:
    assert not is_in("sunrise..sunset", berlin("2026-05-09T12:00:00"), place=None)


def edges(*events: str) -> st.SearchStrategy[str]:
    return st.builds("{}{}{}m".format, st.sampled_from(events), st.sampled_from("+-"), st.integers(0, 90))


MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@settings(deadline=None, max_examples=150)
@given(edges("dawn", "sunrise"), edges("sunset", "dusk"), MOMENTS, st.floats(-50, 50), st.floats(-170, 170))
def test_day_and_night_make_up_all_of_the_time(
    rising: str, setting: str, moment: datetime, latitude: float, longitude: float
) -> None:
    place = Location(latitude=latitude, longitude=longitude)
    by_day, by_night = (
        is_in(span, moment, place) for span in (f"{rising}..{setting}", f"{setting}..{rising}")
    )
    assert by_day is not by_night


@settings(deadline=None, max_examples=100)
@given(hour=st.integers(0, 23), minute=st.integers(0, 59), length=st.integers(1, 1439), moment=MOMENTS)
def test_clock_spans_in_a_zone_without_changes(hour: int, minute: int, length: int, moment: datetime) -> None:
    utc = ZoneInfo("UTC")
    start = hour * 60 + minute
    end = (start + length) % 1440
    span = f"{hour:02}:{minute:02}..{end // 60:02}:{end % 60:02}"
    now = moment.hour * 60 + moment.minute
    assert is_in(span, moment, None, utc) is ((now - start) % 1440 < length)
    assert is_in(span, moment + timedelta(days=1), None, utc) is is_in(span, moment, None, utc)


def test_on_a_clock_that_was_not_set_nobody_knows_the_time_of_day() -> None:
    for when in ({"times": ["00:00..23:59"]}, {"quiet": ["03:00..04:00"]}):
        assert "the clock was not set" in refusal(when, dating="unset")
    assert refusal({}, dating="unset") == ""
    assert refusal({"times": ["00:00..24:00"]}, dating="corrected") == ""
