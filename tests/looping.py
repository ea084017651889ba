"""The loop on real threads and rings, for tests of it: sound that they write, and a classifier that says what it is told to."""

from __future__ import annotations

import threading
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from birdwatchd.audio.clock import FileClock
from birdwatchd.audio.ring import Ring
from birdwatchd.audio.windows import Plan
from birdwatchd.config.schema import Deciding
from birdwatchd.detection.decider import Decider, Rules
from birdwatchd.detection.detector import Naming
from birdwatchd.detection.species_range import Nowhere
from birdwatchd.domain import Candidate, Detection, Label, LedgerEntry
from birdwatchd.hours import Hours
from birdwatchd.listening_hours import ListeningHours
from birdwatchd.pipeline import Pipeline
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from birdwatchd.track import History
    from birdwatchd.trust import ClockChange


RATE = 1000


START = datetime(2026, 5, 1, 4, 30, tzinfo=UTC)


PLAN = Plan(window_seconds=6.0, hop_seconds=1.5, sample_rate=RATE, input_samples=3 * RATE)


LABELS = (Label(0, "Parus major", "Great Tit"), Label(1, "Human vocal", "Human vocal"))


class Loudness:
    """A stand-in for a model: the score of the first label is the segment's largest sample."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def classify(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        self.batches.append(len(segments))
        loudest = segments.max(axis=1)
        return np.stack([loudest, np.zeros_like(loudest) + 0.001], axis=1)


class Notebook:
    """A recorder that remembers."""

    def __init__(self) -> None:
        self.detections: list[Detection] = []
        self.together: list[int] = []
        self.candidates: list[Candidate] = []
        self.changes: list[ClockChange] = []
        self.seconds: dict[tuple[str, str, str], float] = defaultdict(float)

    def record(self, *found: Detection) -> None:
        self.detections += found
        self.together.append(len(found))

    def trace(self, candidates: Sequence[Candidate]) -> None:
        self.candidates += candidates

    def account(self, entries: Sequence[LedgerEntry]) -> None:
        for entry in entries:
            self.seconds[entry.source, entry.kind, entry.cause] += entry.seconds

    def change_clock(self, change: ClockChange) -> None:
        self.changes.append(change)


class Tape:
    """A source that a test writes by hand."""

    def __init__(
        self, name: str = "garden", capacity_seconds: int = 600, *, first: int = 0, start: datetime = START
    ) -> None:
        self.name = name
        self.site = "home"
        self.ring = Ring(capacity_seconds * RATE, RATE, first)
        clock = FileClock(RATE)
        clock.anchor(first, start)
        self.clock = clock
        self.finished = False
        self.fault = ""
        self.waits = True

    def start(self) -> None:
        """It is its test that writes."""

    def stop(self) -> None:
        self.finished = True

    def play(self, seconds: float, level: float) -> None:
        self.ring.write(np.tile([level, -level], round(seconds * RATE / 2)).astype(np.float32))


def pipeline_for(
    *tapes: Tape,
    batch_limit: int = 8,
    history: History | None = None,
    spans: Sequence[str] = (),
    linger_seconds: float = 0.0,
    clock_is_set: Callable[[datetime], bool] | None = None,
) -> tuple[Pipeline, Notebook, Loudness]:
    notebook, classifier = Notebook(), Loudness()
    pipeline = Pipeline(
        classifier,
        notebook,
        PLAN,
        labels=len(LABELS),
        batch_limit=batch_limit,
        history=history,
    )
    rules = Rules(Deciding(), LABELS)
    for tape in tapes:
        hours = ListeningHours(tape.name, Hours(spans, UTC, None), linger_seconds) if spans else None
        naming = Naming("run", tape.name, tape.site, "m", clock_is_set)
        pipeline.add(tape, Decider(rules, Nowhere(), naming), hours=hours)
    return pipeline, notebook, classifier


class Running:
    """A pipeline on its own thread, which does not end by itself."""

    def __init__(self, *tapes: Tape) -> None:
        self.pipeline, self.notebook, self.classifier = pipeline_for(*tapes)
        self.pipeline.expects_more = True
        self._thread = threading.Thread(target=self.pipeline.run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.pipeline.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def hear(self, tape: Tape, seconds: float, level: float) -> None:
        """All of it that can be analysed is."""
        tape.play(seconds, level)
        self.pipeline.wake()
        segments = int((tape.ring.written - tape.ring.first - 3000) / 1500)
        wait_until(
            lambda: (self.pipeline.analysed_to(tape.name) or 0) >= tape.ring.first + 1500 * segments,
            "all of it to be analysed",
        )


def decider(tape: Tape, *, model: str = "m", labels: tuple[Label, ...] = LABELS, **deciding: Any) -> Decider:
    rules = Rules(Deciding.model_validate(deciding), labels)
    return Decider(rules, Nowhere(), Naming("run", tape.name, tape.site, model))
