"""What a source's ledger has counted lately, so that it can be moved when the clock turns out to have been wrong."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from birdwatchd.domain import LedgerKind

SLICE = timedelta(minutes=10)
"""Within one, what was heard and what was lost is taken to be spread evenly."""
MOST = 4320
"""Slices that are kept, a month's: what lies further back stays where the clock of then had put it."""

Key = tuple["LedgerKind", str]
"""Kind, cause."""


@dataclass(slots=True)
class _Slice:
    """What was counted within ten minutes, from its first moment to its last."""

    first: datetime
    last: datetime
    seconds: dict[Key, float] = field(default_factory=lambda: defaultdict(float))


class Past:
    """Seconds by time. Times are aware UTC."""

    def __init__(self) -> None:
        self._slices: dict[tuple[int, datetime], _Slice] = {}
        self._stays = 0
        """What was counted before the clock was set so many times stays, also what is counted of it only now."""

    def add(self, kind: LedgerKind, cause: str, start: datetime, seconds: float, setting: int) -> None:
        """So many seconds from `start` on, as the clock said after it had been set `setting` times; less than 0 are taken back."""
        if setting < self._stays:
            return
        self._spread({(kind, cause): seconds}, start, start + timedelta(seconds=abs(seconds)), setting)
        while len(self._slices) > MOST:
            del self._slices[next(iter(self._slices))]

    def forget(self, setting: int) -> None:
        """What was counted before the clock was set so many times stays where it is."""
        self._stays = max(self._stays, setting)
        self._slices = {key: one for key, one in self._slices.items() if key[0] >= setting}

    def move(self, seconds: float, setting: int) -> Iterator[tuple[LedgerKind, str, datetime, float]]:
        """Move what was counted before that setting; gives what the ledger has to add (or take away: negative), by hour."""
        moved = [(key, one) for key, one in self._slices.items() if key[0] < setting]
        by = timedelta(seconds=seconds)
        for key, one in moved:
            del self._slices[key]
            for (kind, cause), counted in one.seconds.items():
                yield kind, cause, _floor(key[1], timedelta(hours=1)), -counted
        for _, one in moved:
            for at, parts in self._spread(one.seconds, one.first + by, one.last + by, setting):
                for (kind, cause), counted in parts.items():
                    yield kind, cause, _floor(at, timedelta(hours=1)), counted

    def _spread(
        self, seconds: dict[Key, float], first: datetime, last: datetime, setting: int
    ) -> list[tuple[datetime, dict[Key, float]]]:
        """Put them into the slices between two times, evenly; what went where."""
        whole = (last - first).total_seconds()
        parts = []
        while first < last:
            begin = _floor(first, SLICE)
            until = min(last, begin + SLICE)
            share = (until - first).total_seconds() / whole
            part = {key: counted * share for key, counted in seconds.items()}
            one = self._slices.setdefault((setting, begin), _Slice(first, until))
            one.first, one.last = min(one.first, first), max(one.last, until)
            for key, counted in part.items():
                one.seconds[key] += counted
            parts.append((begin, part))
            first = until
        return parts


def _floor(moment: datetime, step: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (moment - epoch) // step * step
