"""Spans of the day, as the config writes them: `06:00..09:30`, `sunset-30m..sunrise+1h`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

Sun = Literal["dawn", "sunrise", "noon", "sunset", "dusk"]

USUAL_HOURS = {"dawn": 5.5, "sunrise": 6.0, "noon": 12.0, "sunset": 18.0, "dusk": 18.5}
"""About when it is, to tell which of two edges comes first in a day."""
_LONGEST = timedelta(hours=12)
_CLOCK = re.compile(r"(?P<hour>\d{1,2}):(?P<minute>\d{2})")
_SUN = re.compile(rf"(?P<event>{'|'.join(get_args(Sun))})(?P<offset>[+-](?=\d)(?:\d+h)?(?:\d+m?)?)?")
_OFFSET = re.compile(r"(?P<sign>[+-])(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m?)?")


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a span begins or ends: so long after midnight (24:00 included) by the clock, or from an event of the sun."""

    offset: timedelta
    event: Sun | None = None

    @property
    def usual(self) -> timedelta:
        """About when it is, after midnight."""
        return self.offset if self.event is None else self.offset + timedelta(hours=USUAL_HOURS[self.event])


@dataclass(frozen=True, slots=True)
class Span:
    """From one edge to the other, the end not included."""

    start: Edge
    end: Edge

    @property
    def is_overnight(self) -> bool:
        """Whether it ends on the day after the one it begins on."""
        return self.end.usual <= self.start.usual

    @property
    def needs_sun(self) -> bool:
        """Whether it can only be told where the station stands."""
        return self.start.event is not None or self.end.event is not None


def parse_span(text: str) -> Span:
    """The span that is meant.

    Raises:
        ValueError: it is none; the message says why, in words that follow a semicolon.
    """
    start, dots, end = text.strip().partition("..")
    if not dots:
        raise ValueError("write two dots between its beginning and its end")
    span = Span(_edge(start.strip()), _edge(end.strip()))
    if span.start == span.end:
        raise ValueError("it begins when it ends")
    return span


def _edge(text: str) -> Edge:
    words = text.casefold()
    if found := _CLOCK.fullmatch(words):
        offset = timedelta(hours=int(found["hour"]), minutes=int(found["minute"]))
        if int(found["minute"]) >= 60 or offset > timedelta(hours=24):  # noqa: PLR2004 - minutes of an hour
            raise ValueError(f"{text} is no time of the day")
        return Edge(offset)
    if found := _SUN.fullmatch(words):
        return Edge(_offset(text, found["offset"] or "+0m"), found["event"])  # type: ignore[arg-type] # it is one of Sun
    raise ValueError(
        f"{text or 'nothing'} is neither a time such as 06:30 nor one of {', '.join(get_args(Sun))}"
    )


def _offset(text: str, written: str) -> timedelta:
    found = _OFFSET.fullmatch(written)
    if found is None or (found["hours"] is None and found["minutes"] is None):
        raise ValueError(f"{text} has no offset such as +30m or -1h")
    offset = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    if offset > _LONGEST:
        raise ValueError(f"{text} is more than 12 hours away")
    return -offset if found["sign"] == "-" else offset
