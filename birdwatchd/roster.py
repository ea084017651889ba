"""The roster: which sources the pipeline listens to, and for a while those that it listened to before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from birdwatchd.track import Track


class Roster:
    """The pipeline's thread writes in it, any thread reads.

    A source that was taken away, or opened anew, is kept for as long as its sound would have stayed in memory: clips of
    its last detections are still to be cut.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # All are replaced, never changed: a reader may be walking them.
        self._present: tuple[Track, ...] = ()
        self._former: tuple[tuple[Track, float], ...] = ()
        # By name, whoever was added last: asked for at every block of every source.
        self._newest: dict[str, Track] = {}

    def __iter__(self) -> Iterator[Track]:
        """Those that are listened to."""
        return iter(self._present)

    @property
    def everybody(self) -> tuple[Track, ...]:
        """With those from before, which come first."""
        return (*(track for track, _ in self._former), *self._present)

    def add(self, track: Track) -> None:
        """Listen to it from now on."""
        self._present = (*self._present, track)
        self._newest = {**self._newest, track.source.name: track}

    def retire(self, track: Track) -> None:
        """It has been heard to its end."""
        self._former = (*self._former, (track, self._monotonic() + track.memory_seconds))
        self._present = tuple(one for one in self._present if one is not track)

    def forget(self) -> None:
        """Let go of those that nobody can ask for any more."""
        now = self._monotonic()
        if any(until < now for _, until in self._former):
            self._former = tuple((track, until) for track, until in self._former if until >= now)
            known = self.everybody
            self._newest = {name: track for name, track in self._newest.items() if track in known}

    def rotate(self) -> None:
        """Whoever was first is last the next time."""
        self._present = (*self._present[1:], *self._present[:1])

    def find(self, source: str, sample: int | None = None) -> Track | None:
        """The source of that name; where it was opened anew, as it was when it had that sample. None: there is none."""
        if sample is None:
            return self._newest.get(source)
        found = [track for track in self.everybody if track.source.name == source]
        found = [track for track in found if track.first <= sample] or found[:1]
        return found[-1] if found else None
