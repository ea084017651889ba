"""What an action is given while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from birdwatchd.audio.clips import GONE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo
    from pathlib import Path

    from birdwatchd.config.schema import Location
    from birdwatchd.dispatch.links import Links
    from birdwatchd.domain import Clip, Delivery, Detection
    from birdwatchd.store.deliveries import Entry, Notes


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is the same for all deliveries of a run. The functions may be called from any thread."""

    run_id: str
    node: str
    location: Location | None
    zone: tzinfo
    clips_folder: Path
    sound: Callable[[Detection, float, float], Clip | str]
    """A detection's sound with so many seconds before and after it, or the reason why there is none."""
    is_ready: Callable[[str, int], bool]
    """Whether a source's sound below a sample is captured and analysed, or never will be."""
    make_room: Callable[[int], str]
    """For so many bytes below `clips_folder`; why there is none, or nothing."""
    links: Links
    """To the page."""


@dataclass(slots=True)
class RunContext:
    """What one delivery is run in: a `birdwatchd.actions.Context`."""

    delivery: Delivery
    node: str
    location: Location | None
    zone: tzinfo
    clips_folder: Path
    _surroundings: Surroundings
    notes: Notes = field(default_factory=dict)
    is_sound_gone: bool = False
    """The action asked for sound that is no longer there."""

    @property
    def page_url(self) -> str:
        return self._surroundings.links.page(self.delivery.detection)

    @property
    def clip_url(self) -> str:
        return self._surroundings.links.clip(self.delivery.detection, self.delivery.tally)

    def clip(self, before_seconds: float, after_seconds: float) -> Clip | str:
        found = self._surroundings.sound(self.delivery.detection, before_seconds, after_seconds)
        self.is_sound_gone = isinstance(found, str) and found == GONE
        return found

    def make_room(self, size: int) -> str:
        return self._surroundings.make_room(size)

    def note(self, **fields: str | float | bool) -> None:
        self.notes.update(fields)


def open_context(delivery: Delivery, surroundings: Surroundings, notes: Notes | None = None) -> RunContext:
    """The context of a delivery. What was noted at earlier attempts stays."""
    return RunContext(
        delivery,
        surroundings.node,
        surroundings.location,
        surroundings.zone,
        surroundings.clips_folder,
        surroundings,
        dict(notes or {}),
    )


@dataclass(frozen=True, slots=True)
class Task:
    """A delivery on its way through an action: a `birdwatchd.actions.Item`."""

    entry: Entry
    context: RunContext

    @property
    def detection(self) -> Detection:
        return self.entry.delivery.detection
