"""The one loop: segments → scores → gates → detections → record."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from birdwatchd.audio.clips import GONE, cut
from birdwatchd.audio.windows import Skipped
from birdwatchd.domain import Segment
from birdwatchd.errands import Ended, Errands
from birdwatchd.listening_hours import RESTING
from birdwatchd.roster import Roster
from birdwatchd.scoring import Scoring
from birdwatchd.track import Track

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from birdwatchd.audio.clips import Sound
    from birdwatchd.audio.source import Source
    from birdwatchd.audio.windows import Plan
    from birdwatchd.detection.decider import Decider
    from birdwatchd.domain import Candidate, Clip, Detection, LedgerEntry, Scores, Window
    from birdwatchd.listening_hours import ListeningHours
    from birdwatchd.scoring import Classifier
    from birdwatchd.track import Due, History
    from birdwatchd.trust import ClockChange, Trust

Result = TypeVar("Result")

ACCOUNT_SECONDS = 5.0
"""How often the ledger is brought up to date."""
IDLE_SECONDS = 0.5
"""How long it rests when there is no source at all."""


class Recorder(Protocol):
    """Where results go. Called from the pipeline's thread only."""

    def record(self, *found: Detection) -> None:
        """Keep detections that started, or the same ones when they have ended. Committed when this returns."""

    def trace(self, candidates: Sequence[Candidate]) -> None:
        """Keep what became of a window's candidates. May be batched."""

    def account(self, entries: Sequence[LedgerEntry]) -> None:
        """Add to the ledger. May be batched."""

    def change_clock(self, change: ClockChange) -> None:
        """The system clock was set: put right what was dated wrongly."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who else wants to know; each is called from the pipeline's thread and must be quick."""

    detection: Callable[[Detection], None] | None = None
    window: Callable[[Window, Scores], None] | None = None
    account: Callable[[Sequence[LedgerEntry]], None] | None = None
    batch: Callable[[int, float], None] | None = None
    """How many segments were classified at once, and how many seconds that took."""


class Pipeline:
    """Every source's sound goes through one classifier, in batches, in one thread: the one that calls `run`."""

    def __init__(
        self,
        classifier: Classifier,
        recorder: Recorder,
        plan: Plan,
        *,
        batch_limit: int = 8,
        labels: int,
        minimum_dbfs: float = -100.0,
        listeners: Listeners | None = None,
        patient: bool = False,
        history: History | None = None,
        trust: Trust | None = None,
    ) -> None:
        """`labels` is how many scores a segment has; `batch_limit` segments at most go to the classifier at once.

        A `patient` pipeline waits until a batch is full: the last bits of a score depend on its batch, and so the same
        recording always gets the same scores; and it leaves nothing out where the classifier fails. `history` is what stays of a
        recording's sound. `trust` judges the system clock.
        """
        self._nothing: NDArray[np.float32] = np.zeros(labels, dtype=np.float32)
        self._scoring = Scoring(classifier, may_fail=not patient)
        self._recorder = recorder
        self._plan = plan
        self._batch_limit = batch_limit
        self._minimum_dbfs = minimum_dbfs
        self._listeners = listeners or Listeners()
        self._patient = patient
        self._history = history
        self._trust = trust
        self._held: list[tuple[Track, Due]] = []  # collected, but not yet a whole batch
        self._tracks = Roster()
        self._errands = Errands(self.wake)
        self.expects_more = False
        """More sources will come: it does not end when all that are there are finished."""
        self._wake = threading.Event()
        self._stopping = False
        self._accounted_at = time.monotonic()
        self.heartbeat = time.monotonic()
        """Monotonic time of the loop's last turn; it turns twice a second or more often, and once for each batch."""

    def add(
        self,
        source: Source,
        decider: Decider,
        before: tuple[datetime, str] | None = None,
        *,
        hours: ListeningHours | None = None,
    ) -> None:
        """Listen to a source that has been started, at its hours. Before `run`, or in `between`.

        `before` says up to when it was accounted for before, and how that ended.
        """
        self._tracks.add(
            Track(source, decider, self._plan, self._history, before, hours=hours, trust=self._trust)
        )

    def remove(self, source: str) -> datetime | None:
        """Let go of a source that has been stopped, once all of it is analysed and its detections are recorded.

        Clips can be cut from it for as long as its sound would have stayed in memory. Waits; from any thread but its own.

        Returns:
            Up to when it was heard; None for a recording: it has a time of its own.

        Raises:
            Ended: the pipeline ended meanwhile.
        """
        track = self._errands.ask(lambda: self._let_leave(source))
        track.left.wait()
        if not track.done:
            raise Ended
        return track.end

    def between(self, change: Callable[[], Result]) -> Result:
        """Have something done by the pipeline's thread between two of its turns, and wait for it. From any other thread.

        Raises:
            Ended: the pipeline does not run any more.
        """
        return self._errands.ask(change)

    def judge_by(self, deciders: Mapping[str, Decider]) -> None:
        """Other rules for the same model. Detections that go on, go on. In `between`."""
        for track in self._tracks:
            track.judge_by(deciders[track.source.name])

    def listen_at(self, hours: Mapping[str, ListeningHours | None]) -> None:
        """Other listening hours, by source. In `between`."""
        for track in self._tracks:
            track.hours = hours[track.source.name]

    def listen_with(self, classifier: Classifier, *, labels: int, batch_limit: int) -> None:
        """Another model scores the segments from the next one on; `divide_by` has to follow. In `between`."""
        self._scoring.classifier, self._batch_limit = classifier, batch_limit
        self._nothing = np.zeros(labels, dtype=np.float32)

    def divide_by(self, plan: Plan, deciders: Mapping[str, Decider]) -> None:
        """Another division of time, or another model: no window holds something of both. In `between`.

        Detections that go on are ended in the name of the model that made them.
        """
        self._plan = plan
        for track in self._tracks:
            window = track.end_plan()
            if window is not None:
                self._decide(track, *window, processing_ns=0)
            self._publish(track.decider.finish())
            track.follow_plan(plan, deciders[track.source.name])

    def keep(self, history: History | None, minimum_dbfs: float) -> None:
        """Another length of what stays of recordings, another level of silence. In `between`."""
        self._history, self._minimum_dbfs = history, minimum_dbfs
        for track in self._tracks:
            track.keep(history)

    def wake(self, source: str | None = None) -> None:
        """There may be something to do. A source that has written gives its name, and wakes nobody before it is due."""
        track = None if source is None else self._tracks.find(source)
        if track is None or track.is_due:
            self._wake.set()

    def stop(self) -> None:
        """No more sound will come: `run` finishes what is there and returns."""
        self._stopping = True
        self._wake.set()

    def sample_rate(self, source: str) -> int:
        """The rate of a source in Hz. From any thread, once it was added.

        Raises:
            KeyError: there is no such source.
        """
        track = self._tracks.find(source)
        if track is None:
            raise KeyError(source)
        return track.source.ring.sample_rate

    def analysed_to(self, source: str) -> int | None:
        """The first sample of a source that is not analysed yet; None when its last was, or it is gone. From any thread."""
        track = self._tracks.find(source)
        return None if track is None or track.done else track.heard_to

    def silent_seconds(self, source: str) -> float:
        """For how long a source has been digital silence. From any thread."""
        track = self._tracks.find(source)
        return 0.0 if track is None else track.silent_seconds

    def rests(self, source: str) -> bool:
        """Whether sound of a source is passed over just now, for its hours' sake. From any thread."""
        track = self._tracks.find(source)
        return track is not None and track.rests and track.hours is not None

    def hours(self, source: str) -> ListeningHours | None:
        """When a source is listened to; None is always. From any thread."""
        track = self._tracks.find(source)
        return None if track is None else track.hours

    def is_ready(self, source: str, sample: int) -> bool:
        """Is a source's sound below `sample` captured and analysed, or will it never be? From any thread."""
        track = self._tracks.find(source, sample - 1)
        return track is None or track.is_ready(sample)

    def clip(self, detection: Detection, before_seconds: float, after_seconds: float) -> Clip | str:
        """A detection's sound with so much around it, or the reason why there is none. From any thread."""
        track = self._tracks.find(detection.source, detection.start_sample)
        if track is None or track.decider.naming.run_id != detection.run_id:
            return GONE
        return cut(track.sound(), detection.start_sample, detection.end_sample, before_seconds, after_seconds)

    def sounds(self) -> list[Sound]:
        """Every source's sound, as far as it is analysed. From any thread."""
        return [track.sound() for track in self._tracks.everybody]

    def run(self) -> None:
        """Work until every source is finished or `stop` was called."""
        try:
            while self._turn():
                pass
            for track in self._tracks:
                self._publish(track.decider.finish())
            self._account()
        finally:
            self._errands.end()
            for track in self._tracks:
                track.left.set()

    def give_up(self) -> None:
        """`run` has failed, and no more sound will come: end what goes on, and account for what waits as skipped.

        By the thread that waited for the end of the one which called `run`.
        """
        for track in self._tracks:
            track.give_up()
            self._publish(track.decider.finish())
        self._account()

    def _turn(self) -> bool:
        """Once round the loop; False when it was the last time."""
        self.heartbeat = time.monotonic()
        self._wake.clear()
        self._errands.run()
        self._follow_clocks()
        due = self._collect()
        if due:
            self._work(due)
        if time.monotonic() - self._accounted_at >= ACCOUNT_SECONDS:
            self._account()
        self._see_off()
        going_on = [track for track in self._tracks if not track.done]
        if not going_on and (self._stopping or not self.expects_more):
            return False
        if not due:
            self._wake.wait(min((track.seconds_until_due for track in going_on), default=IDLE_SECONDS))
        return True

    def _let_leave(self, source: str) -> Track:
        track = next(track for track in self._tracks if track.source.name == source)
        track.is_leaving = True
        return track

    def _see_off(self) -> None:
        """Sources that were taken away and are analysed to their end."""
        for track in [track for track in self._tracks if track.is_leaving and track.done]:
            self._publish(track.decider.finish())
            self._account()
            self._tracks.retire(track)
            track.left.set()
        self._tracks.forget()

    def _collect(self) -> list[tuple[Track, Due]]:
        """What is due now, of all sources in turn, each in its own order, at most a batch of segments."""
        collected, self._held = self._held, []
        segments = sum(isinstance(due, Segment) for _, due in collected)
        hungry = [track for track in self._tracks if not track.done]
        while hungry and segments < self._batch_limit:
            for track in list(hungry):
                due = track.take(stopping=self._stopping or track.is_leaving)
                if due is not None:
                    collected.append((track, due))
                    segments += isinstance(due, Segment)
                if due is None or track.done:
                    hungry.remove(track)
                if segments == self._batch_limit:
                    break
        # So that a source that was last this time is first the next.
        self._tracks.rotate()
        if self._patient and segments < self._batch_limit and not all(track.done for track in self._tracks):
            self._held = collected
            return []
        return collected

    def _work(self, collected: list[tuple[Track, Due]]) -> None:
        """Score the segments, and decide every window that they complete."""
        loud = [due for _, due in collected if isinstance(due, Segment) and not self._silent(due)]
        began = time.perf_counter_ns()
        found = self._scoring.scores(np.stack([segment.samples for segment in loud])) if loud else ()
        processing_ns = time.perf_counter_ns() - began
        scored = None if found is None else iter(found)
        if loud and scored is not None and self._listeners.batch is not None:
            self._listeners.batch(len(loud), processing_ns / 1e9)
        for track, due in collected:
            if isinstance(due, Segment) and self._silent(due):
                window = track.hear(due, self._nothing, silent=True)
            elif isinstance(due, Segment):
                window = track.hear(due, None if scored is None else next(scored), silent=False)
            else:
                window = track.part(due)
                if isinstance(due, Skipped) and due.cause == RESTING:
                    self._publish(track.decider.finish())
            if window is not None:
                self._decide(track, *window, processing_ns=processing_ns)

    def _silent(self, segment: Segment) -> bool:
        return segment.level_dbfs < self._minimum_dbfs

    def _decide(self, track: Track, window: Window, scores: Scores, *, processing_ns: int) -> None:
        silent = not scores.values.any()
        decision = track.decider.decide(window, scores, silent=silent, processing_ns=processing_ns)
        if self._listeners.window is not None:
            self._listeners.window(window, scores)
        self._publish(decision.detections)
        if decision.candidates:
            self._recorder.trace(decision.candidates)

    def _publish(self, detections: list[Detection]) -> None:
        """Record first, a dawn chorus in one go; whoever else is told comes second."""
        if detections:
            self._recorder.record(*detections)
        for detection in detections:
            if self._listeners.detection is not None:
                self._listeners.detection(detection)

    def _follow_clocks(self) -> None:
        """Before anything is recorded that was heard after the system clock was set."""
        for track in self._tracks:
            for change in track.clock_changes():
                self._recorder.change_clock(change)

    def _account(self) -> None:
        self._accounted_at = time.monotonic()
        for track in self._tracks:
            entries = track.account(stopping=self._stopping or track.is_leaving)
            if entries:
                self._recorder.account(entries)
                if self._listeners.account is not None:
                    self._listeners.account(entries)
