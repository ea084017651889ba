"""The continuity ledger: what became of every second of a source, so that silence and deafness differ.

expected = captured + lost; captured = analysed + skipped + what is still waiting. All of it by UTC hour. Between two runs
the source was off: expected + off = the time that went by.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict, deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from birdwatchd.audio.past import Past
from birdwatchd.audio.ring import LOST
from birdwatchd.domain import LedgerEntry
from birdwatchd.trust import EARLIEST

if TYPE_CHECKING:
    from birdwatchd.audio.ring import Ring
    from birdwatchd.audio.source import Clock
    from birdwatchd.domain import LedgerKind
    from birdwatchd.trust import ClockChange

DEAF = "not heard"
"""The cause of a loss that still goes on, where its source cannot say yet what it is."""
NOT_EXPECTED = "between files"
"""The pause between two recordings of a folder: nobody was meant to listen."""
CHANGES = 100
"""Settings of the clock that are kept in mind: analysis lags behind them by seconds."""
LONGEST_OFF = timedelta(days=366)
"""Who was off for longer has a clock that was not right, then or now."""


class Ledger:
    """Counts for one source. Entries are what was added since they were last taken."""

    def __init__(
        self, source: str, ring: Ring, clock: Clock, before: tuple[datetime, str] | None = None
    ) -> None:
        """`before` says up to when this source was accounted for before, and how that ended."""
        self._source = source
        self._ring = ring
        self._clock = clock
        self._before = before
        self._belated = 0.0  # seconds of the ring's that were taken back
        # Lost on the way: index, start, seconds. Of the last few, late ones may yet come.
        self._strays: deque[tuple[int, datetime, float]] = deque(maxlen=100)
        self._until: datetime | None = None
        self._captured = ring.first  # samples counted as captured
        self._accounted = ring.first  # samples counted as analysed or skipped
        self._gaps_seen = 0  # gaps with the very index `_captured` that were counted already
        self._deaf: dict[
            tuple[datetime, LedgerKind, str], float
        ] = {}  # counted before the gap that ends it was marked
        self._sums: dict[tuple[datetime, LedgerKind, str], float] = defaultdict(float)
        self._past = Past()
        self._changes: deque[tuple[int, ClockChange]] = deque(maxlen=CHANGES)
        self._began: tuple[datetime, tuple[datetime, str]] | None = None  # this run, and `before`

    def capture(self) -> None:
        """Count what was captured, and what was lost, since the last time."""
        written = self._ring.written
        gaps = [gap for gap in self._ring.gaps if gap.index >= self._captured]
        fresh = gaps[self._gaps_seen :]
        for number, gap in enumerate(fresh):
            # Of several before one sample, each ends where the next begins.
            behind = sum(later.seconds for later in fresh[number + 1 :] if later.index == gap.index)
            self._take_deafness_back()
            self._begin(gap.seconds + behind if gap.index == self._ring.first else 0.0)
            self._count_captured(gap.index)
            if gap.cause != NOT_EXPECTED:
                self._lose(gap.index, gap.seconds, gap.cause, behind)
        if written > self._captured:
            self._take_deafness_back()
            self._begin()
            self._count_captured(written)
        belated = self._ring.belated_seconds - self._belated
        if belated > 0:
            self._belated += belated
            self._take_back(belated)
        self._gaps_seen = sum(gap.index >= self._captured for gap in gaps)

    def deaf(self, seconds: float, cause: str = DEAF) -> None:
        """Nothing was heard for so long, and it goes on: count it as lost until a gap says more of it."""
        self._take_deafness_back()
        start = self._clock.at(self._captured)
        self._deaf = self._by_hour("lost", cause, start, seconds)
        self._deaf |= self._by_hour("expected", "", start, seconds)
        self._deaf |= self._off(start, self._before)
        self._sum(self._deaf)
        self._until = start + timedelta(seconds=seconds)

    def analysed(self, stop_sample: int) -> None:
        """All sound below `stop_sample` that is not accounted for yet has been classified."""
        self._account(stop_sample, "analysed", "")

    def skipped(self, stop_sample: int, cause: str) -> None:
        """All sound below `stop_sample` that is not accounted for yet was left out."""
        self._account(stop_sample, "skipped", cause)

    @property
    def accounted(self) -> int:
        """All below this sample was analysed or skipped."""
        return self._accounted

    def correct(self, change: ClockChange) -> None:
        """The clock was set: what was counted by a wrong one is moved, or stays for good."""
        self.capture()
        settings = change.step.number
        self._changes.append((settings, change))
        if change.wrong_from is None:
            self._past.forget(settings)
            return
        for kind, cause, hour, seconds in self._past.move(change.step.seconds, settings):
            self._sums[hour, kind, cause] += seconds
        if change.wrong_from == 0 and self._began is not None:
            start, before = self._began
            self._sum({key: -seconds for key, seconds in self._off(start, before).items()})
            start += timedelta(seconds=change.step.seconds)
            self._sum(self._off(start, before))
            self._began = start, before

    def take(self) -> list[LedgerEntry]:
        """What was added since the last call."""
        entries = [
            LedgerEntry(
                self._source, hour, kind, cause, seconds, until=self._until if kind == "expected" else None
            )
            for (hour, kind, cause), seconds in self._sums.items()
            if seconds
        ]
        self._sums.clear()
        return entries

    def _begin(self, missing_seconds: float = 0.0) -> None:
        """The first sample is here, or what is missing before it: until then the source was off."""
        if self._before is not None:
            start = self._clock.at(self._ring.first) - timedelta(seconds=missing_seconds)
            self._sum(self._off(start, self._before))
            self._began, self._before = (start, self._before), None

    def _off(
        self, start: datetime, before: tuple[datetime, str] | None
    ) -> dict[tuple[datetime, LedgerKind, str], float]:
        """The time from the end of the run before this one until `start`."""
        if before is None or before[0] < EARLIEST or not before[0] < start < before[0] + LONGEST_OFF:
            return {}
        end, cause = before
        return self._by_hour("off", cause, end, (start - end).total_seconds())

    def _take_deafness_back(self) -> None:
        self._sum({key: -seconds for key, seconds in self._deaf.items()})
        self._deaf = {}

    def _count_captured(self, stop: int) -> None:
        if stop > self._captured:
            seconds = (stop - self._captured) / self._ring.sample_rate
            start = self._clock.at(self._captured)
            self._add("expected", "", start, seconds, self._captured)
            self._add("captured", "", start, seconds, self._captured)
            self._captured = stop
            self._until = self._clock.at(stop)

    def _lose(self, index: int, seconds: float, cause: str, behind_seconds: float) -> None:
        start = self._clock.at(index) - timedelta(seconds=seconds + behind_seconds)
        self._add("expected", "", start, seconds, index)
        self._add("lost", cause, start, seconds, index)
        if cause == LOST:
            self._strays.append((index, start, seconds))

    def _take_back(self, seconds: float) -> None:
        """Sound that was counted as lost on the way was late, and is captured now: the last of it is taken back first."""
        while seconds > 0 and self._strays:
            index, start, counted = self._strays.pop()
            part = min(counted, seconds)
            seconds -= part
            rest = counted - part
            if rest:
                self._strays.append((index, start, rest))
            late = start + timedelta(seconds=rest)
            self._add("expected", "", late, -part, index)
            self._add("lost", LOST, late, -part, index)

    def _account(self, stop: int, kind: LedgerKind, cause: str) -> None:
        if stop > self._accounted:
            start = self._clock.at(self._accounted)
            seconds = (stop - self._accounted) / self._ring.sample_rate
            self._add(kind, cause, start, seconds, self._accounted)
            self._accounted = stop

    def _add(self, kind: LedgerKind, cause: str, start: datetime, seconds: float, sample: int) -> None:
        settings = self._settings(sample)
        for (
            number,
            change,
        ) in self._changes:  # it was heard before the clock was set, and is analysed after it
            if sample < change.step.index and change.is_wrong(sample, start):
                start = change.put_right(sample, start)
                settings = max(settings, number)
        self._sum(self._by_hour(kind, cause, start, seconds))
        self._past.add(kind, cause, start.astimezone(UTC), seconds, settings)

    def _settings(self, sample: int) -> int:
        """How often the clock had been set when a sample was heard."""
        steps = self._clock.steps
        known = bisect_right(steps, sample, key=lambda step: step.index)
        return steps[known - 1].number if known else steps[0].number - 1 if steps else 0

    def _sum(self, parts: dict[tuple[datetime, LedgerKind, str], float]) -> None:
        for key, seconds in parts.items():
            self._sums[key] += seconds

    @staticmethod
    def _by_hour(
        kind: LedgerKind, cause: str, start: datetime, seconds: float
    ) -> dict[tuple[datetime, LedgerKind, str], float]:
        """So many seconds from `start` on, split at the hours. So many that are taken back, where there are less than 0."""
        parts: dict[tuple[datetime, LedgerKind, str], float] = {}
        start = start.astimezone(UTC)
        end = start + timedelta(seconds=abs(seconds))
        while start < end:
            hour = start.replace(minute=0, second=0, microsecond=0)
            until = min(end, hour + timedelta(hours=1))
            parts[hour, kind, cause] = math.copysign((until - start).total_seconds(), seconds)
            start = until
        return parts
