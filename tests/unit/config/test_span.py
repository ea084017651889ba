"""Spans of the day as people write them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from birdwatchd.config.span import Edge, Span, parse_span

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("06:00..09:30", Span(Edge(6 * HOUR), Edge(9 * HOUR + 30 * MINUTE))),
        ("6:05 .. 24:00", Span(Edge(6 * HOUR + 5 * MINUTE), Edge(24 * HOUR))),
        ("sunset..sunrise", Span(Edge(0 * HOUR, "sunset"), Edge(0 * HOUR, "sunrise"))),
        ("Sunset-30m..sunrise+1h", Span(Edge(-30 * MINUTE, "sunset"), Edge(HOUR, "sunrise"))),
        ("dawn+90..noon-1h30m", Span(Edge(90 * MINUTE, "dawn"), Edge(-90 * MINUTE, "noon"))),
        ("noon-1h15..dusk", Span(Edge(-75 * MINUTE, "noon"), Edge(0 * HOUR, "dusk"))),
    ],
)
def test_what_they_mean(text: str, span: Span) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("06:00-09:00", "write two dots between its beginning and its end"),
        ("..09:00", "nothing is neither a time such as 06:30 nor one of dawn, sunrise, noon, sunset, dusk"),
        ("6..9", "6 is neither a time such as 06:30 nor one of dawn, sunrise, noon, sunset, dusk"),
        ("06:00..25:00", "25:00 is no time of the day"),
        ("06:61..07:00", "06:61 is no time of the day"),
        ("06:00..24:01", "24:01 is no time of the day"),
        ("06:00..6:00", "it begins when it ends"),
        (
            "sunset+..sunrise",
            "sunset+ is neither a time such as 06:30 nor one of dawn, sunrise, noon, sunset, dusk",
        ),
        ("sunset+13h..sunrise", "sunset+13h is more than 12 hours away"),
        (
            "sunset+1d..sunrise",
            "sunset+1d is neither a time such as 06:30 nor one of dawn, sunrise, noon, sunset, dusk",
        ),
    ],
)
def test_what_they_do_not(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        parse_span(text)


@pytest.mark.parametrize(
    ("text", "overnight"),
    [
        ("06:00..09:00", False),
        ("22:00..06:00", True),
        ("sunset..sunrise", True),
        ("sunrise..sunset", False),
        ("dawn..sunrise", False),
        ("sunset+8h..sunrise", True),
        ("sunrise-8h..sunrise", False),
        ("20:00..24:00", False),
    ],
)
def test_which_ones_run_over_midnight(text: str, overnight: bool) -> None:
    assert parse_span(text).is_overnight is overnight
