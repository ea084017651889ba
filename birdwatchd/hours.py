"""Hours of the day: spans by the clock and by the sun, in the station's zone, on every day of the year."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

from birdwatchd.config.span import parse_span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, tzinfo

    from birdwatchd.config.span import Edge, Span
    from birdwatchd.sun import Sky

_DAY = timedelta(days=1)
_AHEAD_DAYS = (1, 8)
"""So far ahead a change is looked for, first near by. Where the sun stays down for months, it is not known before."""


class Turn(NamedTuple):
    """How it is, and for how long."""

    inside: bool
    until: datetime
    """Aware UTC. It may go on after that: ask again then."""
    is_change: bool
    """Whether it ends then, or is only not known further."""


class Hours:
    """Some spans of the day. Right on the days that clocks change, and where the sun does not set or does not rise."""

    def __init__(self, spans: Sequence[str], zone: tzinfo, sky: Sky | None) -> None:
        """`sky` is None where nobody knows where the station stands; sun times never come then."""
        self.words = " or ".join(spans)
        self._spans = tuple(parse_span(text) for text in spans)
        self._zone = zone
        self._sky = sky

    def hold(self, moment: datetime) -> bool:
        """Whether a moment lies inside."""
        return any(begin <= moment < end for begin, end in self._around(moment, range(-2, 2)))

    def turn(self, moment: datetime) -> Turn:
        """Whether a moment lies inside, and until when that is so."""
        inside = self.hold(moment)
        for days in _AHEAD_DAYS:
            until = moment + days * _DAY
            # A day's edges lie within a day of it: those of one more are looked at.
            pairs = self._around(moment, range(-2, days + 2))
            for edge in sorted({edge for pair in pairs for edge in pair if moment < edge <= until}):
                if self.hold(edge) != inside:
                    return Turn(inside, edge, is_change=True)
        return Turn(inside, until, is_change=False)

    def _around(self, moment: datetime, days: range) -> Iterator[tuple[datetime, datetime]]:
        """The spans of the days around a moment: the end is not inside."""
        # One that runs over midnight may have begun yesterday; with an offset, a day's sunset may lie in another day.
        today = moment.astimezone(self._zone).date()
        for span in self._spans:
            if span.needs_sun and self._sky is None:
                continue
            for shift in days:
                yield self._on(span, today + _DAY * shift)

    def _on(self, span: Span, day: date) -> tuple[datetime, datetime]:
        begin = self._edge(span.start, day)
        return begin, self._edge(span.end, day + _DAY if span.is_overnight else day, last=True)

    def _edge(self, edge: Edge, day: date, *, last: bool = False) -> datetime:
        if edge.event is not None and self._sky is not None:
            return self._sky.at(edge.event, day) + edge.offset
        days, clock = divmod(edge.offset, _DAY)
        wall = datetime.combine(day + _DAY * days, time()) + clock
        first = wall.replace(tzinfo=self._zone).astimezone(UTC)
        # On the day that clocks are set back a time is there twice: a span goes on to the second one.
        return max(first, wall.replace(tzinfo=self._zone, fold=1).astimezone(UTC)) if last else first
