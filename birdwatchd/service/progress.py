"""Does the daemon get on? The pipeline turns, samples arrive, and what arrived is analysed.

A source that is away and says so is no standstill: its ladder works on it, and a restart could do no more. One whose
ladder has died is: nobody works on it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birdwatchd.audio.source import Source

DUE_SECONDS = 15.0
"""With more sound than this waiting, a window of every model is due."""
ROUND = 10
"""So many times the patience for one source, while others are analysed."""


class Turning(Protocol):
    """What it needs of the pipeline. Asked from any thread."""

    @property
    def heartbeat(self) -> float:
        """Monotonic time in seconds of its loop's last turn."""

    def analysed_to(self, source: str) -> int | None:
        """The first sample of a source that is not analysed yet; None when its last was, or there is no such source."""


@dataclass(slots=True)
class _Mark:
    """How far something was, and since when it is there."""

    place: int = -1
    since: float = field(default=float("-inf"))

    def still(self, place: int, now: float) -> float:
        """Seconds for which it has been at `place`."""
        if place != self.place:
            self.place, self.since = place, now
        return now - self.since


class Progress:
    """Looks at the pipeline and the sources from outside. Used by one thread, and often: it knows what it saw last."""

    def __init__(self, pipeline: Turning, sources: Sequence[Source]) -> None:
        """`sources` are looked at anew each time: they may come and go."""
        self._pipeline = pipeline
        self._sources = sources
        self._written: dict[str, _Mark] = defaultdict(_Mark)
        self._analysed: dict[str, _Mark] = defaultdict(_Mark)
        self._moved_at = float("-inf")  # when sound of any source was analysed last

    def hangs(self, now: float, patience_seconds: float) -> str:
        """What stands still for longer than that at monotonic time `now`, in a few words; empty when all goes on."""
        self._moved_at = max(
            [self._moved_at, *(mark.since for mark in self._analysed.values() if mark.place > 0)]
        )
        standing = [self._standing(source, now, patience_seconds) for source in tuple(self._sources)]
        idle = now - self._pipeline.heartbeat
        if idle > patience_seconds:
            return f"the pipeline has not turned for {idle:.0f} s"
        return next(filter(None, standing), "")

    def in_words(self) -> str:
        """Who is heard, and what is wrong with the others."""
        sources = tuple(self._sources)
        away = [f"{source.name} is away ({source.fault})" for source in sources if source.fault]
        heard = [source.name for source in sources if not source.fault and not source.finished]
        return (
            "; ".join([f"listening to {', '.join(heard)}"] * bool(heard) + away)
            or "at the end of all recordings"
        )

    def _standing(self, source: Source, now: float, patience_seconds: float) -> str:
        analysed = self._pipeline.analysed_to(source.name)
        written = source.ring.written
        silent = self._written[source.name].still(written, now)
        unheard = self._analysed[source.name].still(-1 if analysed is None else analysed, now)
        if analysed is None:
            return ""
        if not getattr(source, "is_tended", True):
            return f"nobody looks after {source.name} any more: its thread has died"
        due = written - analysed > DUE_SECONDS * source.ring.sample_rate
        # A machine that is too slow comes round late: being killed for it would cost it the rest.
        others = 1 if now - self._moved_at > patience_seconds else ROUND
        if due and unheard > others * patience_seconds:
            return f"sound of {source.name} has not been analysed for {unheard:.0f} s"
        # A recording stands still while its reader does; then it is the reader that matters.
        if source.fault or source.finished or getattr(source, "waits", False):
            return ""
        return (
            f"no sample of {source.name} for {silent:.0f} s, and no word why"
            if silent > patience_seconds
            else ""
        )
