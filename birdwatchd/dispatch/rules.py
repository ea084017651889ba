"""The `when:` of an action: does it act on this detection, and if not, why not, in the config's own words."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from birdwatchd.config.span import parse_span
from birdwatchd.config.species import matches

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, tzinfo

    from birdwatchd.config.span import Edge, Span
    from birdwatchd.config.trigger import ActionConfig
    from birdwatchd.dispatch.sun import Sky
    from birdwatchd.domain import Detection, Label, Tally

_DAY = timedelta(days=1)


class Rules:
    """The conditions of one action that need no memory: those of `when`, without how often."""

    def __init__(self, config: ActionConfig, zone: tzinfo, sky: Sky | None) -> None:
        """`sky` is None where nobody knows where the station stands; sun times never come then."""
        self._config = config
        self._zone = zone
        self._sky = sky
        self._named: dict[tuple[str, str], str] = {}

    def refusal(self, detection: Detection, tally: Tally) -> str:
        """Why the action does not act on this detection; empty when it does."""
        config, when = self._config, self._config.when
        if not config.enabled:
            return "enabled: it is off"
        if detection.state not in config.states:
            return f"on: a detection that has {detection.state} is not told"
        if when.sources and detection.source not in when.sources:
            return f"when.sources: {detection.source} is not among them"
        if detection.score < when.min_score:
            return f"when.min_score: {detection.score:.2f} is below {when.min_score:g}"
        return (
            self._species(detection.label)
            or self._first(detection.label, tally)
            or self._time_of_day(detection.start)
        )

    def _species(self, label: Label) -> str:
        key = label.scientific_name, label.common_name
        if key not in self._named:
            self._named[key] = self._unnamed(label)
        return self._named[key]

    def _unnamed(self, label: Label) -> str:
        when = self._config.when
        if when.species and not _any_matches(when.species, label):
            return f"when.species: {label.common_name} is not among them"
        if _any_matches(when.not_species, label):
            return f"when.not_species: {label.common_name} is among them"
        return ""

    def _first(self, label: Label, tally: Tally) -> str:
        match self._config.when.first:
            case "of_day" if not tally.first_today:
                return f"when.first: {label.common_name} was heard before today"
            case "of_season" if not tally.first_of_season:
                return f"when.first: {label.common_name} was heard before in this season"
            case "ever" if not tally.first_ever:
                return f"when.first: {label.common_name} was heard before"
        return ""

    @cached_property
    def _spans(self) -> tuple[Span, ...]:
        return tuple(parse_span(text) for text in self._config.when.times)

    def _time_of_day(self, moment: datetime) -> str:
        if not self._spans or any(self._is_in(span, moment) for span in self._spans):
            return ""
        spans = " or ".join(self._config.when.times)
        return f"when.times: {moment.astimezone(self._zone):%H:%M} is not in {spans}"

    def _is_in(self, span: Span, moment: datetime) -> bool:
        if span.needs_sun and self._sky is None:
            return False
        today = moment.astimezone(self._zone).date()
        # One that runs over midnight may have begun yesterday; with an offset, a day's sunset may lie in another day.
        return any(self._covers(span, today + _DAY * shift, moment) for shift in (-2, -1, 0, 1))

    def _covers(self, span: Span, day: date, moment: datetime) -> bool:
        begin = self._edge(span.start, day)
        end = self._edge(span.end, day + _DAY if span.is_overnight else day, last=True)
        return begin <= moment < end

    def _edge(self, edge: Edge, day: date, *, last: bool = False) -> datetime:
        if edge.event is not None and self._sky is not None:
            return self._sky.at(edge.event, day) + edge.offset
        days, clock = divmod(edge.offset, _DAY)
        wall = datetime.combine(day + _DAY * days, time()) + clock
        first = wall.replace(tzinfo=self._zone).astimezone(UTC)
        # On the day that clocks are set back a time is there twice: a span goes on to the second one.
        return max(first, wall.replace(tzinfo=self._zone, fold=1).astimezone(UTC)) if last else first


def _any_matches(patterns: Sequence[str], label: Label) -> bool:
    return any(matches(pattern, label) for pattern in patterns)
