"""When a sample was captured: the only place where an index becomes a time.

Blocks arrive late, never early, so the truth lies along the lower edge of the arrival times. The line through the
smallest delay of every 30 seconds of the last half hour is the card's true rate; a shortfall that stays above it is loss.
"""

from __future__ import annotations

import bisect
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import TYPE_CHECKING

import structlog

from birdwatchd.trust import STEP_SECONDS, ClockStep, elapsed

if TYPE_CHECKING:
    from collections.abc import Callable

logger = structlog.get_logger(__name__)

SLOT_SECONDS = 30.0
"""Of each slot the smallest delay is kept."""
SLOTS = 60
"""Half an hour of slots: what the line is fitted to."""
LARGEST_DRIFT = 200e-6
"""No sound card is further off than this; what goes beyond it is loss."""
LIKELY_DRIFT = 50e-6
"""How far off a card usually is: keeps the line sober while it has seen little."""
PAUSE_SECONDS = 1.0
"""Nothing came for so long: what had to wait meanwhile comes at once, then."""
DOUBT_SECONDS = 300.0
"""So long after a shortfall was taken for loss it may turn out that the sound was late, very late."""
STEPS = 100
"""Settings of the system clock that are kept in mind. Two time services that fight may set it each minute, for a year."""
KNOTS = 1000
"""At one a slot hours of dating, far more than a ring holds."""


@dataclass(frozen=True, slots=True)
class _Knot:
    """From the sample `index` on: its monotonic time, the seconds from a sample to the next, wall minus monotonic."""

    index: int
    monotonic: float
    sample_seconds: float
    offset: float


class SampleClock:
    """Dates the samples of a live source.

    A date once given stays: what is learnt later bends the dates of later samples, without a jump. Only a gap and a
    step of the system clock are jumps. One thread at a time observes or resumes (no lock: PortAudio's callback may
    resume), any thread asks.
    """

    def __init__(
        self,
        sample_rate: int,
        *,
        monotonic: Callable[[], float] = elapsed,
        wall: Callable[[], float] = time.time,
        tolerance_seconds: float = 0.1,
        settle_seconds: float = 2.5,
        prompt_seconds: float | None = None,
        first: int = 0,
    ) -> None:
        """Start counting now.

        Args:
            sample_rate: what the card claims, Hz.
            monotonic: seconds that never jump, and go on while the machine sleeps.
            wall: seconds since 1970, UTC.
            tolerance_seconds: a larger shortfall is loss.
            settle_seconds: it has to last so long; until then the missing blocks may merely be late.
            prompt_seconds: the same after a pause in which nothing came at all, from the last that was caught up with
                on; as ever when left out, as a network may hold sound back for longer.
            first: the index of the first sample.
        """
        self._rate = sample_rate
        self._monotonic = monotonic
        self._wall = wall
        self._tolerance = tolerance_seconds
        self._settle = settle_seconds
        self._prompt = prompt_seconds
        now = monotonic()
        self._knots = [_Knot(first, now, 1 / sample_rate, wall() - now)]
        self.steps: tuple[ClockStep, ...] = ()
        """When the system clock was set lately, oldest first. Replaced, never changed."""
        self._set_at = now
        self._asked = first
        self._anchored = False
        self._missing = 0.0  # seconds of all gaps so far
        # The line: delay = intercept + drift * (x - centre), x in seconds of samples.
        self._intercept = self._drift = self._centre = 0.0
        self._slots: list[tuple[float, float]] = []  # (x, smallest delay)
        self._slot_start = 0.0
        self._slot_least: tuple[float, float] | None = None
        self._observed = now
        self._paused = False  # nothing came for a while, and not all that is missing has come since
        self._short_since = 0.0
        self._short_by = 0.0
        self._short_count = 0
        self._doubtful = 0.0  # of `_missing`: seconds that may come yet
        self._doubtful_until = 0.0

    def at(self, index: int) -> datetime:
        """The aware UTC time of the sample `index`. For one that is yet to come it is an estimate."""
        self._asked = max(self._asked, index)
        knot = self._knot(index)
        return datetime.fromtimestamp(_monotonic_at(knot, index) + knot.offset, UTC)

    def observe(self, index: int, monotonic: float) -> float:
        """Learn that `index` samples had been captured at the time `monotonic`.

        Returns:
            Seconds of sound found missing (lost somewhere in the last few seconds): 0, or more than the tolerance.
            Samples from now on are dated later by it. Less than 0: so much of what had been found missing was late, and
            has come now.
        """
        x = index / self._rate
        if not self._anchored:
            self._anchored = True
            self._knots = [_Knot(0, monotonic - x, 1 / self._rate, self._knots[-1].offset)]
            self._restart(x, monotonic - x)
        self._follow_wall(index)
        if self._prompt is not None and monotonic - self._observed > PAUSE_SECONDS:
            self._paused = True
        self._observed = monotonic
        delay = monotonic - x - self._missing
        late = delay - self._line(x)
        if late > self._tolerance:
            return self._weigh(late, index, monotonic)
        self._short_count = 0
        self._paused = False
        if late < -self._tolerance / 2:  # no block is early: the line was too late
            found = self._find(-late, monotonic)
            self._restart(x, delay + found)
            self._bend(index)
            return -found
        found = 0.0
        if late < 0 and not self._slots:
            found = self._find(-late, monotonic)
            delay += found
            self._intercept = delay - self._drift * (x - self._centre)
        if self._slot_least is None or delay - self._drift * (x - self._slot_least[0]) < self._slot_least[1]:
            self._slot_least = (x, delay)
        if x - self._slot_start >= SLOT_SECONDS:
            self._close_slot(x)
            self._bend(index)
        return -found

    def _find(self, seconds: float, monotonic: float) -> float:
        """Sound came earlier than the line says: how much of it had been taken for lost, and was late."""
        found = min(seconds, self._doubtful) if monotonic < self._doubtful_until else 0.0
        if found:
            self._doubtful -= found
            self._missing -= found
            self._slot_least = None  # it was measured with what was missing then
        return found

    def resume(self, index: int, monotonic: float) -> float:
        """Go on after an interruption: the sample `index`, the next to be written, was captured at `monotonic`.

        Returns:
            Seconds between the end of the sample before it and `index`, 0 or more.
        """
        expected = _monotonic_at(self._knot(index), index)
        seconds = max(0.0, monotonic - expected)
        self._missing += seconds
        self._doubtful = 0.0
        self._paused = False
        self._observed = monotonic
        self._anchored = True
        x = index / self._rate
        self._restart(x, monotonic - x - self._missing)
        self._add(_Knot(index, expected + seconds, (1 + self._drift) / self._rate, self._knots[-1].offset))
        return seconds

    def _knot(self, index: int) -> _Knot:
        knots = self._knots  # replaced, never changed
        return knots[max(0, bisect.bisect_right(knots, index, key=lambda knot: knot.index) - 1)]

    def _add(self, knot: _Knot) -> None:
        self._knots = [old for old in self._knots[-KNOTS:] if old.index < knot.index] + [knot]

    def _next(self, index: int) -> int:
        """The first sample that may be dated anew: beyond all that have been asked for, as far as they exist."""
        return max(index, min(self._asked + 1, index + self._rate))

    def _line(self, x: float) -> float:
        return self._intercept + self._drift * (x - self._centre)

    def _restart(self, x: float, delay: float) -> None:
        """Forget the delays, keep the drift: the line begins anew at this point."""
        self._slots = []
        self._slot_start, self._slot_least = x, None
        self._centre, self._intercept = x, delay
        self._short_count = 0

    def _weigh(self, late: float, index: int, monotonic: float) -> float:
        """Decide whether what is missing is late (the backlog arrives after it) or lost."""
        catches_up = self._paused and late < self._short_by - self._tolerance / 2
        if self._short_count == 0 or catches_up:
            self._short_since, self._short_by = monotonic, late
        self._short_count += 1
        self._short_by = min(self._short_by, late)
        settle = self._prompt if self._paused and self._prompt is not None else self._settle
        if monotonic - self._short_since < settle or self._short_count < 3:  # noqa: PLR2004 - not on two blocks
            return 0.0
        self._short_count = 0
        self._paused = False
        self._missing += self._short_by
        self._doubtful += self._short_by
        self._doubtful_until = monotonic + DOUBT_SECONDS
        start = self._next(index)
        knot = self._knot(start)
        self._add(_Knot(start, _monotonic_at(knot, start) + self._short_by, knot.sample_seconds, knot.offset))
        return self._short_by

    def _close_slot(self, x: float) -> None:
        """Fit the line to the slots' smallest delays: least squares, drawn towards the drift known so far."""
        if self._slot_least is not None:
            self._slots = [*self._slots[-(SLOTS - 1) :], self._slot_least]
        self._slot_start, self._slot_least = x, None
        self._centre = fmean(slot[0] for slot in self._slots)
        self._intercept = fmean(slot[1] for slot in self._slots)
        spread = sum((slot[0] - self._centre) ** 2 for slot in self._slots)
        product = sum((slot[0] - self._centre) * (slot[1] - self._intercept) for slot in self._slots)
        # As if (noise / likely drift)² of spread had been seen with no drift at all.
        sobriety = (self._tolerance / 50 / LIKELY_DRIFT) ** 2
        self._drift = max(-LARGEST_DRIFT, min(LARGEST_DRIFT, product / (spread + sobriety)))

    def _bend(self, index: int) -> None:
        """Let the dates meet the line one slot from now, without a jump."""
        start = self._next(index)
        knot = self._knot(start)
        monotonic = _monotonic_at(knot, start)
        ahead = start / self._rate + SLOT_SECONDS
        slope = (ahead + self._missing + self._line(ahead) - monotonic) / SLOT_SECONDS
        self._add(_Knot(start, monotonic, max(0.5, min(1.5, slope)) / self._rate, knot.offset))

    def _follow_wall(self, index: int) -> None:
        before = self._monotonic()
        offset = self._wall() - before
        knot = self._knots[-1]
        if abs(offset - knot.offset) <= STEP_SECONDS or self._monotonic() - before > STEP_SECONDS / 5:
            return
        logger.warning("system clock stepped", seconds=round(offset - knot.offset, 3))
        start = self._next(index)
        monotonic = _monotonic_at(knot, start)
        old = datetime.fromtimestamp(monotonic + knot.offset, UTC)
        number = self.steps[-1].number + 1 if self.steps else 1
        step = ClockStep(start, old, offset - knot.offset, before - self._set_at, knot.offset, number)
        self.steps = (*self.steps[-STEPS + 1 :], step)
        self._set_at = before
        self._add(_Knot(start, monotonic, knot.sample_seconds, offset))


class FileClock:
    """Dates the samples of a recording, or of a folder of them: each file has its own start."""

    steps: tuple[ClockStep, ...] = ()
    """No setting of the system clock moves it."""

    def __init__(self, sample_rate: int) -> None:
        """Nothing is dated before the first `anchor`."""
        self._rate = sample_rate
        self._anchors: list[tuple[int, datetime]] = []

    def anchor(self, index: int, start: datetime) -> None:
        """The sample `index`, the first of a file, was recorded at `start` (aware UTC). Indices must rise."""
        self._anchors = [*self._anchors[-KNOTS:], (index, start)]

    def at(self, index: int) -> datetime:
        """The aware UTC time of the sample `index`.

        Raises:
            LookupError: no file has been anchored yet.
        """
        anchors = self._anchors
        if not anchors:
            raise LookupError("no recording has been anchored yet")
        first, start = anchors[max(0, bisect.bisect_right(anchors, index, key=lambda anchor: anchor[0]) - 1)]
        return start + timedelta(seconds=(index - first) / self._rate)


def _monotonic_at(knot: _Knot, index: int) -> float:
    return knot.monotonic + (index - knot.index) * knot.sample_seconds
