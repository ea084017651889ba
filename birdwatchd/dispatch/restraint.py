"""How often an action acts: its cooldowns, and so many in an hour at most."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from birdwatchd.config.trigger import ActionConfig
    from birdwatchd.domain import Detection

_HOUR = timedelta(hours=1)
_FORGET = 1000
"""With so many species in mind, those whose time is over are forgotten; so many detections are known again."""


class Restraint:
    """Remembers when an action acted. Times are those of the sound, so that a recording is judged as it was heard live.

    What it was told to remember counts at once, and is for good, or forgotten, with `settle`.
    """

    def __init__(self, config: ActionConfig) -> None:
        self._cooldown = timedelta(seconds=config.cooldown_seconds)
        self._overall = timedelta(seconds=config.overall_cooldown_seconds)
        self._most = config.when.at_most_per_hour
        self._by_species: dict[str, datetime] = {}
        self._recent: deque[datetime] = deque(maxlen=max(1, self._most or 1))
        self._told: dict[str, None] = {}
        self._fresh: list[Detection] = []

    @property
    def memory(self) -> timedelta:
        """How far back it has to know."""
        return max(self._cooldown, self._overall, _HOUR if self._most else timedelta())

    def refusal(self, detection: Detection) -> str:
        """Why the action keeps still; empty when it may act."""
        if self._knows(detection):
            return ""  # who was told of its start is told of its end
        at, species = detection.start, detection.label.scientific_name
        last = [self._by_species[species]] if species in self._by_species else []
        last += [one.start for one in self._fresh if one.label.scientific_name == species]
        # Neighbouring sources run a little before or behind each other: only the distance counts.
        if self._cooldown and any(abs(at - when) < self._cooldown for when in last):
            return f"cooldown_seconds: it acted on {detection.label.common_name} less than {_words(self._cooldown)} ago"
        acted = [*self._recent, *(one.start for one in self._fresh)]
        if self._overall and any(abs(at - when) < self._overall for when in acted):
            return f"overall_cooldown_seconds: it acted less than {_words(self._overall)} ago"
        if self._most and sum(abs(at - when) < _HOUR for when in acted) >= self._most:
            return f"when.at_most_per_hour: it acted {self._most} times within an hour"
        return ""

    def acted(self, detection: Detection) -> None:
        """It acts on this one."""
        if self.memory and not self._knows(detection):
            self._fresh.append(detection)

    def settle(self, *, kept: bool) -> None:
        """What it acted on since the last call was committed, or never happened."""
        for detection in self._fresh if kept else ():
            self._by_species[detection.label.scientific_name] = detection.start
            self._recent.append(detection.start)
            self._told[detection.id] = None
            if len(self._told) > _FORGET:
                del self._told[next(iter(self._told))]
            if len(self._by_species) > _FORGET:
                self._forget(detection.start)
        self._fresh.clear()

    def move(self, before: datetime, seconds: float) -> None:
        """The clock was set, when it said `before`: what it said until then keeps its distance."""
        by = timedelta(seconds=seconds)
        self._by_species = {
            species: when + by if when <= before else when for species, when in self._by_species.items()
        }
        moved = [when + by if when <= before else when for when in self._recent]
        self._recent = deque(moved, maxlen=self._recent.maxlen)

    def _knows(self, detection: Detection) -> bool:
        return detection.id in self._told or any(one.id == detection.id for one in self._fresh)

    def _forget(self, now: datetime) -> None:
        self._by_species = {
            species: when for species, when in self._by_species.items() if abs(now - when) < self._cooldown
        }


def _words(length: timedelta) -> str:
    return f"{length.total_seconds():g} s"
