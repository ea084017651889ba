"""One source on its way through the pipeline: what is due of it, what it adds up to, and whether it hears at all."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from birdwatchd.audio.clips import Sound
from birdwatchd.audio.ledger import DEAF, Ledger
from birdwatchd.audio.windows import TOO_SLOW, Plan, Segmenter, Skipped, StretchEnd, Windower
from birdwatchd.domain import Segment
from birdwatchd.listening_hours import RESTING
from birdwatchd.scoring import FAILED
from birdwatchd.trust import ClockChange, Trust

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from birdwatchd.audio.source import Source
    from birdwatchd.detection.decider import Decider
    from birdwatchd.domain import LedgerEntry, Scores, Window
    from birdwatchd.listening_hours import ListeningHours

Due = Segment | StretchEnd | Skipped
"""What a source's segmenter hands out."""

LOOK_SECONDS = 0.25
"""So often a source is looked at that has no segment ready: it may have a gap, or rest."""
DEAF_SECONDS = 3.0
"""So long without a sample, and a source's silence is counted as lost while it lasts."""
STANDSTILL_SECONDS = 30.0
"""So long without a sample, and nobody waits any more for what was to follow a detection."""
DRAIN_SECONDS = 15.0
"""So long what was heard before a source was stopped is analysed; what waits then is skipped."""
SLOW_SECONDS = 60.0
"""How often the log says how much had to be skipped."""
QUIET_SECONDS = 60.0
"""So long of digital silence, and the log says that the microphone seems to be dead."""

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class History:
    """What stays in the ring of a source that waits for its reader, as it does of a microphone: clips are cut from it."""

    seconds: float
    """Of sound that was analysed. The ring has to be longer, by a few segments."""
    first_ready: Callable[[str], int | None]
    """Up to where a source has to be analysed for the first clip that is still to be made; it waits for that."""


class Track:
    """One source on its way through the pipeline."""

    def __init__(
        self,
        source: Source,
        decider: Decider,
        plan: Plan,
        history: History | None = None,
        before: tuple[datetime, str] | None = None,
        *,
        hours: ListeningHours | None = None,
        trust: Trust | None = None,
    ) -> None:
        """`before` says up to when this source was accounted for before, and how that ended; `trust` judges the clock."""
        self.source = source
        self.decider = decider
        self.hours = hours
        """When it is listened to; always when None."""
        self.rests = False
        """Its sound is passed over just now, for its hours' sake. Asked by any thread."""
        self.first = source.ring.first
        """Its first sample."""
        may_skip = not getattr(source, "waits", False)
        self._segmenter = Segmenter(source.name, source.ring, plan, may_skip=may_skip)
        self._windower = Windower(source.name, source.clock, source.ring.sample_rate, plan)
        # What a recording holds has nothing to do with when the daemon ran.
        self._ledger = Ledger(
            source.name, source.ring, source.clock, None if getattr(source, "waits", False) else before
        )
        self._trust = trust or Trust()
        self._changes = 0  # the last step of the clock that was told
        self.done = False
        self.is_leaving = False
        """The source has been stopped, and will be let go of."""
        self.left = threading.Event()
        """It has been let go of, or the pipeline ended."""
        self._due_at = 0
        self._look_at = float("-inf")
        self._written = -1
        self._written_at = time.monotonic()
        self._ended_at: float | None = None
        self._silent_seconds = 0.0
        self._slow_seconds = 0.0
        self._slow_said_at = float("-inf")
        self._take_hop(plan)
        self._heard_to = source.ring.first
        self.keep(history)
        self._released = source.ring.first

    def judge_by(self, decider: Decider) -> None:
        """Other rules for the same model."""
        decider.go_on_from(self.decider, self._heard_to)
        self.decider = decider

    def keep(self, history: History | None) -> None:
        """So much stays in the ring of a source that waits."""
        self._history = history if getattr(self.source, "waits", False) else None
        self._history_samples = round(history.seconds * self.source.ring.sample_rate) if history else 0

    def end_plan(self) -> tuple[Window, Scores] | None:
        """The division of time ends here; the last window of the stretch, where it was a short one."""
        return self._windower.end()

    def follow_plan(self, plan: Plan, decider: Decider) -> None:
        """Go on where it is with another division of time, perhaps another model. After `end_plan`."""
        decider.take_over_from(self.decider, self._heard_to)
        self.decider = decider
        self._segmenter = self._segmenter.go_on(plan)
        self._windower = Windower(self.source.name, self.source.clock, self.source.ring.sample_rate, plan)
        self._take_hop(plan)

    @property
    def end(self) -> datetime | None:
        """Up to when it was heard; None for a recording: it has a time of its own."""
        waits = getattr(self.source, "waits", False)
        return None if waits else self.source.clock.at(self.source.ring.written)

    @property
    def memory_seconds(self) -> float:
        """How long its sound stays in memory."""
        return self.source.ring.capacity / self.source.ring.sample_rate

    @property
    def seconds_until_due(self) -> float:
        """How long the pipeline may sleep for this source, unless it is woken."""
        missing = self._due_at - self.source.ring.written
        return min(max(missing / self.source.ring.sample_rate, 0.005), 0.5)

    @property
    def heard_to(self) -> int:
        """The first sample that is not analysed yet. Asked by any thread."""
        return self._heard_to

    @property
    def silent_seconds(self) -> float:
        """For how long there has been nothing but digital silence. Asked by any thread."""
        return self._silent_seconds

    def is_ready(self, sample: int) -> bool:
        """Is all below `sample` analysed, or is there nothing to wait for? Asked by any thread."""
        if self._heard_to >= sample or (self.done and self._heard_to >= self.source.ring.written):
            return True
        return time.monotonic() - self._written_at > STANDSTILL_SECONDS

    def sound(self) -> Sound:
        """What clips are cut from. Asked by any thread, anew for each clip."""
        voices = self.decider.voices
        return Sound(
            self.source.name,
            self.source.ring,
            self.source.clock,
            self._heard_to,
            voices.spans,
            voices.unheard,
        )

    @property
    def is_due(self) -> bool:
        """Is it worth a look? A segment is whole, or may be: there is a reader that waits, or an end. Asked by any thread."""
        source = self.source
        return source.ring.written >= self._due_at or source.finished or getattr(source, "waits", False)

    def take(self, *, stopping: bool) -> Due | None:
        """What is due next. Sets `done` when nothing will ever be due again."""
        now = time.monotonic()
        if not (stopping or self.is_due or now >= self._look_at):
            return None
        due = self._take(stopping=stopping)
        # What comes behind it may be due as well.
        self._look_at = now + LOOK_SECONDS if due is None else now
        self._due_at = self._segmenter.due_at
        return due

    def _take(self, *, stopping: bool) -> Due | None:
        self._watch_writing(stopping=stopping)
        ended = stopping or self.source.finished
        due = self._pass_over(ended=ended) or self._give_up() or self._segmenter.take(ended=ended)
        if isinstance(due, StretchEnd) and ended and due.sample == self.source.ring.written:
            self.done = True
        if due is not None:
            # Often enough that no gap leaves the ring before it was counted, however fast a recording is read.
            self._ledger.capture()
        self._let_go()
        return due

    def hear(
        self, segment: Segment, scores: NDArray[np.float32] | None, *, silent: bool
    ) -> tuple[Window, Scores] | None:
        """Take in a segment's scores, float32 (labels,), and give the window that it completes; None: it has none."""
        # Where the next segment begins: until that is scored, a voice may still be found behind it.
        following = min(segment.stop_sample, segment.start_sample + self._hop_samples)
        if scores is None:
            self._windower.clear()
            self._miss(segment.stop_sample)
            self._hear_to(following)
            return None
        if silent:
            self._ledger.skipped(segment.stop_sample, "silence")
        else:
            self._ledger.analysed(segment.stop_sample)
            self.decider.listen(segment.start_sample, segment.stop_sample, scores)
        self._watch_level(silent=silent)
        self._hear_to(following)
        return self._windower.add(segment.start_sample, segment.stop_sample, scores)

    def part(self, due: StretchEnd | Skipped) -> tuple[Window, Scores] | None:
        """What comes next does not join what was before; the last window of the stretch, where it was a short one."""
        if isinstance(due, StretchEnd):
            self._ledger.skipped(due.rest.stop_sample, due.rest.cause)
            self.decider.voices.miss(due.rest.start_sample, due.rest.stop_sample)
            self._hear_to(due.sample)
            return self._windower.end()
        self._windower.clear()
        self.decider.voices.miss(due.start_sample, due.stop_sample)
        self._hear_to(due.stop_sample)
        self._ledger.skipped(due.stop_sample, due.cause)
        if due.cause == RESTING:
            return None
        self._say_slow((due.stop_sample - due.start_sample) / self.source.ring.sample_rate)
        return None

    def give_up(self) -> None:
        """Nothing more of it will be analysed."""
        self._ledger.capture()
        self._miss(self.source.ring.written)
        self._hear_to(self.source.ring.written)
        self.done = True

    def _miss(self, stop: int) -> None:
        """What is below `stop`, and in no segment that was scored, is left out: nobody knows who speaks there."""
        self.decider.voices.miss(self._ledger.accounted, stop)
        self._ledger.skipped(stop, FAILED)

    def clock_changes(self) -> list[ClockChange]:
        """When the system clock was set since the last call, and what that means for what was heard before."""
        steps, told = self.source.clock.steps, self._changes
        if not steps or steps[-1].number == told:
            return []
        changes = [
            ClockChange(
                self.source.name,
                self.source.ring.sample_rate,
                step,
                self._trust.wrong_from(steps[:known]),
            )
            for known, step in enumerate(steps, start=1)
            if step.number > told
        ]
        for change in changes:
            self._ledger.correct(change)
        self._changes = steps[-1].number
        return changes

    def account(self, *, stopping: bool) -> list[LedgerEntry]:
        """Bring the ledger up to date, deafness that still lasts included, and give what is new in it."""
        self._watch_writing(stopping=stopping)
        self._ledger.capture()
        deaf_seconds = (self._ended_at or time.monotonic()) - self._written_at
        if deaf_seconds > DEAF_SECONDS and self.source.fault and not self.source.finished:
            self._ledger.deaf(deaf_seconds, getattr(self.source, "cause", "") or DEAF)
        return self._ledger.take()

    def _take_hop(self, plan: Plan) -> None:
        self._hop_seconds = plan.hop_seconds
        self._hop_samples = round(plan.hop_seconds * self.source.ring.sample_rate)

    def _pass_over(self, *, ended: bool) -> Skipped | None:
        """Outside of listening hours, all that was captured until they begin; a hop or more, so that it is not done all the time."""
        written, start = self.source.ring.written, self._segmenter.start
        hours, at = self.hours, self.source.clock.at
        if hours is None or written < start + (1 if ended else self._hop_samples):
            return None
        clock_is_set = self.decider.naming.clock_is_set
        if clock_is_set is not None and not clock_is_set(at(start)):
            self.rests = False
            return None  # nobody knows the hour: better to hear too much
        self.rests = hours.rests(at(start), following=self.decider.is_following)
        if not self.rests:
            return None
        opens = hours.opens_by(at(written))
        if opens is None:
            return self._segmenter.pass_over(written, RESTING)
        first = start + bisect_left(range(start, written), opens, key=at)
        # On a clock that was set meanwhile they may have begun already: then the next look is another one.
        return self._segmenter.pass_over(max(first, start + 1), RESTING)

    def _give_up(self) -> Skipped | None:
        """It was stopped a while ago, and what waits would take too long: ending in order comes first."""
        written = self.source.ring.written
        if self._ended_at is None or time.monotonic() - self._ended_at < DRAIN_SECONDS:
            return None
        return self._segmenter.pass_over(written, TOO_SLOW) if self._segmenter.start < written else None

    def _watch_writing(self, *, stopping: bool) -> None:
        """Note since when no sample has come, and when the source was stopped: nothing is expected of it from then on."""
        now = time.monotonic()
        if stopping and self._ended_at is None:
            self._ended_at = now
        if self.source.ring.written != self._written:
            self._written, self._written_at = self.source.ring.written, now

    def _let_go(self) -> None:
        """Tell a source that waits for its reader what it may overwrite: neither what is analysed next, nor clips to be."""
        needed = self._segmenter.needed
        if self._history is not None:
            needed = min(needed, self._heard_to - self._history_samples)
            if needed < self._released + self.source.ring.sample_rate:
                return  # asking costs more than it gives
            first = self._history.first_ready(self.source.name)
            if first is not None:
                needed = min(needed, first - self._history_samples)
        self._released = needed
        self.source.ring.release(needed)

    def _hear_to(self, sample: int) -> None:
        self._heard_to = max(self._heard_to, sample)
        self.decider.voices.forget(self.source.ring.oldest)

    def _say_slow(self, seconds: float) -> None:
        """Once a minute at most, with all that was skipped since the last time."""
        self._slow_seconds += seconds
        now = time.monotonic()
        if now - self._slow_said_at >= SLOW_SECONDS:
            logger.warning(
                "too slow, sound was skipped",
                source=self.source.name,
                seconds=round(self._slow_seconds, 1),
                advice="fewer sources, a longer hop_seconds, or a faster machine",
            )
            self._slow_said_at, self._slow_seconds = now, 0.0

    def _watch_level(self, *, silent: bool) -> None:
        """Say once when the microphone seems to be dead, and once when it is back."""
        if not silent and self._silent_seconds >= QUIET_SECONDS:
            logger.info("sound again", source=self.source.name)
        before = self._silent_seconds
        self._silent_seconds = before + self._hop_seconds if silent else 0.0
        if before < QUIET_SECONDS <= self._silent_seconds:
            logger.warning(
                "nothing but digital silence: is the microphone dead or muted?",
                source=self.source.name,
                seconds=round(self._silent_seconds),
            )
