"""The one loop: segments → scores → gates → detections → record."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from birdwatchd.audio.clips import GONE, cut
from birdwatchd.audio.windows import Skipped
from birdwatchd.domain import Segment
from birdwatchd.listening_hours import RESTING
from birdwatchd.track import Track

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from birdwatchd.audio.clips import Sound
    from birdwatchd.audio.source import Source
    from birdwatchd.audio.windows import Plan
    from birdwatchd.detection.decider import Decider
    from birdwatchd.domain import Candidate, Clip, Detection, LedgerEntry, Scores, Window
    from birdwatchd.listening_hours import ListeningHours
    from birdwatchd.track import Due, History

ACCOUNT_SECONDS = 5.0
"""How often the ledger is brought up to date."""


class Classifier(Protocol):
    """What the pipeline needs of a model."""

    def classify(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 (segments, samples) to scores float32 (segments, labels)."""


class Recorder(Protocol):
    """Where results go. Called from the pipeline's thread only."""

    def record(self, detection: Detection) -> None:
        """Keep a detection that started, or the same one when it has ended. Committed when this returns."""

    def trace(self, candidates: Sequence[Candidate]) -> None:
        """Keep what became of a window's candidates. May be batched."""

    def account(self, entries: Sequence[LedgerEntry]) -> None:
        """Add to the ledger. May be batched."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who else wants to know; each is called from the pipeline's thread and must be quick."""

    detection: Callable[[Detection], None] | None = None
    window: Callable[[Window, Scores], None] | None = None
    account: Callable[[Sequence[LedgerEntry]], None] | None = None


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
    ) -> None:
        """`labels` is how many scores a segment has; `batch_limit` segments at most go to the classifier at once.

        A `patient` pipeline waits until a batch is full: the last bits of a score depend on its batch, and so the same
        recording always gets the same scores. `history` is what stays of a
        recording's sound.
        """
        self._nothing: NDArray[np.float32] = np.zeros(labels, dtype=np.float32)
        self._classifier = classifier
        self._recorder = recorder
        self._plan = plan
        self._batch_limit = batch_limit
        self._minimum_dbfs = minimum_dbfs
        self._listeners = listeners or Listeners()
        self._patient = patient
        self._history = history
        self._held: list[tuple[Track, Due]] = []  # collected, but not yet a whole batch
        self._tracks: list[Track] = []
        self._by_name: dict[str, Track] = {}
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
        """Listen to a source that has been started, at its hours. Before `run`.

        `before` says up to when an earlier run accounted for it, and how that run ended.
        """
        track = Track(source, decider, self._plan, self._history, before, hours=hours)
        self._tracks.append(track)
        self._by_name[source.name] = track

    def wake(self) -> None:
        """There may be something to do: sources call this after they have written."""
        self._wake.set()

    def stop(self) -> None:
        """No more sound will come: `run` finishes what is there and returns."""
        self._stopping = True
        self._wake.set()

    def sample_rate(self, source: str) -> int:
        """The rate of a source in Hz. From any thread, once it was added."""
        return self._by_name[source].source.ring.sample_rate

    def analysed_to(self, source: str) -> int | None:
        """The first sample of a source that is not analysed yet; None when its last was, or it is gone. From any thread."""
        track = self._by_name.get(source)
        return None if track is None or track.done else track.heard_to

    def is_ready(self, source: str, sample: int) -> bool:
        """Is a source's sound below `sample` captured and analysed, or will it never be? From any thread."""
        track = self._by_name.get(source)
        return track is None or track.is_ready(sample)

    def clip(self, detection: Detection, before_seconds: float, after_seconds: float) -> Clip | str:
        """A detection's sound with so much around it, or the reason why there is none. From any thread."""
        track = self._by_name.get(detection.source)
        if track is None or track.decider.naming.run_id != detection.run_id:
            return GONE
        return cut(track.sound(), detection.start_sample, detection.end_sample, before_seconds, after_seconds)

    def sounds(self) -> list[Sound]:
        """Every source's sound, as far as it is analysed. From any thread."""
        return [track.sound() for track in list(self._by_name.values())]

    def run(self) -> None:
        """Work until every source is finished or `stop` was called."""
        while True:
            self.heartbeat = time.monotonic()
            self._wake.clear()
            due = self._collect()
            if due:
                self._work(due)
            if time.monotonic() - self._accounted_at >= ACCOUNT_SECONDS:
                self._account()
            if all(track.done for track in self._tracks):
                break
            if not due:
                self._wake.wait(min(track.seconds_until_due for track in self._tracks if not track.done))
        for track in self._tracks:
            self._publish(track.decider.finish())
        self._account()

    def _collect(self) -> list[tuple[Track, Due]]:
        """What is due now, of all sources in turn, each in its own order, at most a batch of segments."""
        collected, self._held = self._held, []
        segments = sum(isinstance(due, Segment) for _, due in collected)
        hungry = [track for track in self._tracks if not track.done]
        while hungry and segments < self._batch_limit:
            for track in list(hungry):
                due = track.take(stopping=self._stopping)
                if due is not None:
                    collected.append((track, due))
                    segments += isinstance(due, Segment)
                if due is None or track.done:
                    hungry.remove(track)
                if segments == self._batch_limit:
                    break
        # So that a source that was last this time is first the next.
        self._tracks.append(self._tracks.pop(0))
        if self._patient and segments < self._batch_limit and not all(track.done for track in self._tracks):
            self._held = collected
            return []
        return collected

    def _work(self, collected: list[tuple[Track, Due]]) -> None:
        """Score the segments, and decide every window that they complete."""
        loud = [due for _, due in collected if isinstance(due, Segment) and not self._silent(due)]
        began = time.perf_counter_ns()
        scored = iter(
            self._classifier.classify(np.stack([segment.samples for segment in loud])) if loud else ()
        )
        processing_ns = time.perf_counter_ns() - began
        for track, due in collected:
            if isinstance(due, Segment):
                scores = self._nothing if self._silent(due) else next(scored)
                window = track.hear(due, scores, silent=self._silent(due))
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
        """Record first; whoever else is told comes second."""
        for detection in detections:
            self._recorder.record(detection)
            if self._listeners.detection is not None:
                self._listeners.detection(detection)

    def _account(self) -> None:
        self._accounted_at = time.monotonic()
        for track in self._tracks:
            entries = track.account(stopping=self._stopping)
            if entries:
                self._recorder.account(entries)
                if self._listeners.account is not None:
                    self._listeners.account(entries)
