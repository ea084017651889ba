"""How far the system clock is to be trusted: whether anybody has set it, and what a step of it says of the time before.

A machine without a clock of its own wakes up in 1970, or at the time of its last shutdown, and learns the time when the
network is there. docs/time.md says what follows from that; docs/decisions/ why.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""birdwatchd is not older: a clock that says so was not set."""
STEP_SECONDS = 0.5
"""A system clock that moves by more than this against monotonic time was set."""
LARGEST_DRIFT = 200e-6
"""No computer's clock is further off than this by itself."""
PROBATION = timedelta(days=1)
"""A clock that ran for so long is believed: when it is set then, what it said before stays."""
BEHIND = timedelta(days=1)
"""So far behind what the database has seen, a clock was not set."""
STRADDLING_SECONDS = 60.0
"""No window is longer."""


def elapsed() -> float:
    """Seconds that no setting of the clock moves, and that go on while the machine sleeps."""
    # Where there is no such clock, the monotonic one is it: macOS's goes on in sleep.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def boot_id() -> str:
    """What tells this boot of the machine from all others; empty where nobody knows."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The system clock was set while a source was heard."""

    index: int
    """The first sample that the new clock dates."""
    before: datetime
    """What the old clock would have said of it."""
    seconds: float
    """How far it was set; negative: back."""
    age_seconds: float
    """So long it had run since it was set before, or since the source began."""
    offset: float = 0.0
    """What the old clock said, less `elapsed`."""
    number: int = 1
    """Which of its source's it is, from 1 on."""


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A step of the clock, and what it means for what a source was heard before."""

    source: str
    sample_rate: int
    step: ClockStep
    wrong_from: int | None
    """From this sample to that of the step the dates are wrong; None: they stay."""

    def is_wrong(self, sample: int, date: datetime) -> bool:
        """Is that date of a sample one that has to be put right?"""
        if self.wrong_from is None or sample < self.wrong_from:
            return False
        return self._is_older(sample, date)

    def put_right(self, sample: int, date: datetime) -> datetime:
        """The date of a sample, corrected where it is wrong."""
        return date + timedelta(seconds=self.step.seconds) if self.is_wrong(sample, date) else date

    def is_repeated(self, sample: int, date: datetime) -> bool:
        """Was it that time before, because the clock was set back and what it had said stays?"""
        if self.wrong_from is not None or self.step.seconds > 0:
            return False
        return date < self.step.before and sample >= self.step.index and not self._is_older(sample, date)

    def _is_older(self, sample: int, date: datetime) -> bool:
        """Was it dated before the clock was set?"""
        beyond = (sample - self.step.index) / self.sample_rate
        if beyond < 0:
            return True
        # A window that began before the step dates all that is in it.
        off = (date - self.step.before).total_seconds() - beyond
        return beyond < STRADDLING_SECONDS and abs(off) < STEP_SECONDS / 2


class Trust:
    """Judges the system clock. From any thread."""

    def __init__(
        self, last_seen: datetime | None = None, *, monotonic: Callable[[], float] = elapsed
    ) -> None:
        """`last_seen` is when the run before this one was there for the last time."""
        self.last_seen = last_seen
        self._monotonic = monotonic
        self._began = monotonic()

    def is_set(self, moment: datetime) -> bool:
        """Can it be that time, now?"""
        return self._is_possible(moment, timedelta(seconds=self._monotonic() - self._began))

    def wrong_from(self, steps: Sequence[ClockStep]) -> int | None:
        """The first sample whose date the last of a source's steps shows to be wrong; None: none is.

        Where the first ones are not known any more, what was heard up to the oldest that is stays.

        A clock that could not be right was wrong from its last believed setting on. One that could, and is set soon
        after it began, was most likely that of the last shutdown; drift alone is no reason. Once a clock was believed
        for long, what it said stays: a step may well be the mistake, and the step back then undoes it.
        """
        first, age, origin = 0, timedelta(), None
        if steps and steps[0].number > 1:
            first, steps = steps[0].index, steps[1:]
        for step in steps:
            age += timedelta(seconds=step.age_seconds)
            origin = first if self._was_wrong(step, age) else None
            if origin is None:
                first, age = step.index, timedelta()
        return origin

    def _was_wrong(self, step: ClockStep, age: timedelta) -> bool:
        if not self._is_possible(step.before + timedelta(seconds=step.seconds), age):
            return False
        if not self._is_possible(step.before, age):
            return True
        drift = STEP_SECONDS + LARGEST_DRIFT * age.total_seconds()
        return age <= PROBATION and abs(step.seconds) > drift

    def _is_possible(self, moment: datetime, age: timedelta) -> bool:
        if moment < EARLIEST:
            return False
        # It may be the database that has seen a wrong time. Nobody corrects the clock in a day: it is that.
        return self.last_seen is None or age > PROBATION or moment >= self.last_seen - BEHIND
