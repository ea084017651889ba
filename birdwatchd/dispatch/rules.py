"""The `when:` of an action: does it act on this detection, and if not, why not, in the config's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdwatchd.config.species import matches
from birdwatchd.hours import Hours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from birdwatchd.config.trigger import ActionConfig
    from birdwatchd.domain import Detection, Label, Tally
    from birdwatchd.sun import Sky


class Rules:
    """The conditions of one action that need no memory: those of `when`, without how often."""

    def __init__(self, config: ActionConfig, zone: tzinfo, sky: Sky | None) -> None:
        """`sky` is None where nobody knows where the station stands; sun times never come then."""
        self._config = config
        self._zone = zone
        self._times = Hours(config.when.times, zone, sky)
        self._quiet = Hours(config.when.quiet, zone, sky)
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
            or self._time_of_day(detection)
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

    def _time_of_day(self, detection: Detection) -> str:
        when, moment = self._config.when, detection.start
        if (when.times or when.quiet) and detection.dating == "unset":
            return "when.times, when.quiet: the clock was not set, nobody knows what time it is"
        if when.times and not self._times.hold(moment):
            return f"when.times: {moment.astimezone(self._zone):%H:%M} is not in {self._times.words}"
        if when.quiet and self._quiet.hold(moment):
            return f"when.quiet: {moment.astimezone(self._zone):%H:%M} is in {self._quiet.words}"
        return ""


def _any_matches(patterns: Sequence[str], label: Label) -> bool:
    return any(matches(pattern, label) for pattern in patterns)
