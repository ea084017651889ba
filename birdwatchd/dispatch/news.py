"""What an action is told beside detections: the latest of each kind, and a day's summary until it has taken it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from birdwatchd.dispatch.verdict import pause_seconds
from birdwatchd.domain import DailySummary, Health

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class _Refused:
    summary: DailySummary
    times: int
    again: float
    """The monotonic time at which it is told once more."""


class News:
    """Of one action. Any thread lays them down, its worker takes them."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._latest: dict[type, Health | DailySummary] = {}
        self._refused: _Refused | None = None

    def lay(self, one: Health | DailySummary) -> None:
        """To be told; what was laid down of its kind before, and not taken yet, is forgotten."""
        self._latest[type(one)] = one

    def take(self) -> Health | DailySummary | None:
        """The next to be told."""
        refused = self._refused
        if refused is not None and self._monotonic() >= refused.again:
            self._latest.setdefault(DailySummary, refused.summary)
        return self._latest.popitem()[1] if self._latest else None

    def told(self, one: Health | DailySummary) -> None:
        """The action took it."""
        if isinstance(one, DailySummary):
            self._refused = None

    def refuse(self, one: Health | DailySummary) -> bool:
        """The action raised. Health comes again in a minute; a summary, whose next is a day away, is told again: is it?"""
        if isinstance(one, Health):
            return False
        before = self._refused
        times = 1 if before is None or before.summary != one else before.times + 1
        self._refused = _Refused(one, times, self._monotonic() + pause_seconds(times))
        return True
