"""The loop, on real threads and rings, with a classifier that says what it is told to."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest

from birdwatchd.audio.clips import GONE, UNHEARD
from birdwatchd.audio.clock import FileClock
from birdwatchd.audio.ring import Ring
from birdwatchd.audio.windows import Plan
from birdwatchd.config.schema import Deciding
from birdwatchd.detection.decider import Decider, Rules
from birdwatchd.detection.detector import Naming
from birdwatchd.detection.species_range import Nowhere
from birdwatchd.domain import Candidate, Clip, Detection, Label, LedgerEntry
from birdwatchd.errands import Ended
from birdwatchd.hours import Hours
from birdwatchd.listening_hours import RESTING, ListeningHours
from birdwatchd.pipeline import Listeners, Pipeline
from birdwatchd.track import History
from birdwatchd.trust import ClockStep
from tests.doubles import sample_detection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from birdwatchd.domain import Scores, Window
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


def test_a_call_in_a_recording_is_recorded_when_it_starts_and_when_it_ends() -> None:
    tape = Tape()
    tape.play(15, 0.05)
    tape.play(4.5, 0.9)
    tape.play(15, 0.05)
    tape.finished = True
    pipeline, notebook, _ = pipeline_for(tape)
    pipeline.run()
    started, ended = notebook.detections
    assert (started.state, ended.state) == ("started", "ended")
    # The segments that hold any of the loud sound: from 13.5 s (its end is loud) to 19.5 s.
    assert (ended.start_sample, ended.end_sample) == (13_500, 21_000)
    assert ended.site == "home"


def test_every_second_is_accounted_for() -> None:
    tape = Tape()
    tape.play(10, 0.05)
    tape.ring.mark_gap(5.0, "lost")
    tape.play(7, 0.05)
    tape.play(12, 0.0)
    tape.ring.mark_gap(0.0, "lost")
    tape.play(1, 0.05)
    tape.finished = True
    pipeline, notebook, _ = pipeline_for(tape)
    pipeline.run()
    seconds = {key[1:]: value for key, value in notebook.seconds.items()}
    assert seconds[("expected", "")] == pytest.approx(35)
    assert seconds[("captured", "")] == pytest.approx(30)
    assert seconds[("lost", "lost")] == pytest.approx(5)
    analysed = seconds.pop(("analysed", ""))
    skipped = {cause: value for (kind, cause), value in seconds.items() if kind == "skipped"}
    assert set(skipped) == {"silence", "remainder"}
    assert analysed + sum(skipped.values()) == pytest.approx(30)


def test_outside_of_listening_hours_sound_is_skipped_and_accounted_for() -> None:
    tape = Tape()
    tape.play(45, 0.9)  # from 04:30:00
    tape.ring.mark_gap(5.0, "lost")
    tape.play(130, 0.9)
    tape.finished = True
    pipeline, notebook, classifier = pipeline_for(tape, spans=["04:31..04:32"])
    pipeline.run()
    seconds = {key[1:]: value for key, value in notebook.seconds.items()}
    assert seconds[("expected", "")] == pytest.approx(180)
    assert seconds[("captured", "")] == pytest.approx(175)
    # From the sample at which they begin to the end of the segment in which they end.
    assert seconds[("analysed", "")] == pytest.approx(61.5)
    assert seconds[("skipped", RESTING)] == pytest.approx(175 - 61.5)
    assert sum(classifier.batches) == 40
    first, last = notebook.detections[0], notebook.detections[-1]
    assert (first.state, first.start) == ("started", START + timedelta(seconds=60))
    assert (last.state, last.end) == ("ended", START + timedelta(seconds=121.5))
    assert all(one.start <= START + timedelta(seconds=120) for one in notebook.detections)


def test_on_a_clock_that_was_not_set_nobody_knows_the_hours_and_all_is_listened_to() -> None:
    tape = Tape()
    tape.play(15, 0.9)
    tape.finished = True
    pipeline, notebook, _ = pipeline_for(tape, spans=["22:00..23:00"], clock_is_set=lambda _: False)
    pipeline.run()
    assert notebook.seconds["garden", "analysed", ""] == pytest.approx(15)
    assert {one.dating for one in notebook.detections} == {"unset"}


def test_that_the_clock_was_set_is_told_before_what_was_heard_after_it() -> None:
    tape = Tape()
    tape.play(4, 0.9)
    step = ClockStep(2000, START, 3600.0, 60.0)
    tape.clock.steps = (step,)
    tape.finished = True
    pipeline, notebook, _ = pipeline_for(tape)
    told: list[int] = []
    pipeline._listeners = Listeners(detection=lambda _: told.append(len(notebook.changes)))
    pipeline.run()
    assert [(change.step, change.wrong_from) for change in notebook.changes] == [(step, 0)]
    assert told
    assert set(told) == {1}


def test_what_goes_on_when_they_end_is_followed_for_the_end_of_its_clip() -> None:
    tape = Tape()
    tape.play(118, 0.05)
    tape.play(3, 0.9)  # up to 04:32:01
    tape.play(60, 0.05)
    tape.finished = True
    pipeline, notebook, _ = pipeline_for(tape, spans=["04:30..04:32"], linger_seconds=6.0)
    pipeline.run()
    started, ended = notebook.detections
    assert (started.state, ended.state) == ("started", "ended")
    clip = pipeline.clip(ended, 3.0, 4.0)
    assert isinstance(clip, Clip)
    assert (clip.stop_sample - ended.end_sample) / RATE == pytest.approx(4.0)
    assert notebook.seconds["garden", "analysed", ""] == pytest.approx(127.5)


def test_at_the_end_of_the_hours_a_detection_ends_though_the_source_goes_on() -> None:
    tape = Tape()
    pipeline, notebook, _ = pipeline_for(tape, spans=["04:30..04:31"])
    listening = threading.Thread(target=pipeline.run)
    listening.start()
    try:
        tape.play(64, 0.9)
        pipeline.wake()
        wait_for(lambda: [one.state for one in notebook.detections].count("ended") == 3)
        assert [one.state for one in notebook.detections].count("started") == 3
    finally:
        pipeline.stop()
        listening.join()


def test_a_source_that_rests_at_its_end_is_done() -> None:
    tape = Tape()
    tape.play(2.5, 0.9)
    tape.finished = True
    pipeline, notebook, classifier = pipeline_for(tape, spans=["22:00..23:00"])
    pipeline.run()
    assert not notebook.detections
    assert not sum(classifier.batches)
    assert notebook.seconds["garden", "skipped", RESTING] == pytest.approx(2.5)


def test_while_it_rests_live_sound_is_passed_over_as_it_comes() -> None:
    tape = Tape()
    pipeline, notebook, _ = pipeline_for(tape, spans=["04:31..23:00"])
    listening = threading.Thread(target=pipeline.run)
    rested: list[bool] = []
    listening.start()
    try:
        for second in range(1, 66):
            tape.play(1, 0.9)
            pipeline.wake()
            if second % 10 == 5:
                wait_for(lambda: (pipeline.analysed_to("garden") or 0) > (second - 4) * RATE)  # noqa: B023 - called at once
                rested.append(pipeline.rests("garden"))
    finally:
        pipeline.stop()
        listening.join()
    assert notebook.detections[0].start == START + timedelta(seconds=60)
    assert notebook.seconds["garden", "skipped", RESTING] == pytest.approx(60)
    assert rested == [True] * 6 + [False]


def test_each_segment_is_computed_once() -> None:
    tape = Tape()
    tape.play(60, 0.05)
    tape.finished = True
    pipeline, _, classifier = pipeline_for(tape)
    pipeline.run()
    # Starts at 0, 1.5, … 58.5: the last has half of its sound.
    assert sum(classifier.batches) == 40


def test_silence_is_not_classified() -> None:
    tape = Tape()
    tape.play(30, 0.0)
    tape.finished = True
    pipeline, notebook, classifier = pipeline_for(tape)
    pipeline.run()
    assert classifier.batches == []
    assert notebook.detections == []
    assert notebook.seconds["garden", "skipped", "silence"] == pytest.approx(30)


def test_sources_share_batches_and_none_starves() -> None:
    tapes = [Tape(name) for name in "abc"]
    for tape in tapes:
        tape.play(30, 0.8)
        tape.finished = True
    pipeline, notebook, classifier = pipeline_for(*tapes, batch_limit=6)
    pipeline.run()
    assert max(classifier.batches) == 6
    assert len(classifier.batches) == -(-60 // 6)
    for tape in tapes:
        ended = [d for d in notebook.detections if d.source == tape.name and d.state == "ended"]
        assert [(d.start_sample, d.end_sample) for d in ended] == [(0, 30_000)]


def test_what_is_stopped_leaves_a_trace_with_its_gate() -> None:
    tape = Tape()
    tape.play(9, 0.4)
    tape.finished = True
    pipeline, notebook, _ = pipeline_for(tape)
    pipeline.run()
    assert notebook.detections == []
    assert {(c.gate, c.label.common_name, c.site) for c in notebook.candidates} == {
        ("threshold", "Great Tit", "home")
    }
    assert notebook.candidates[0].score == pytest.approx(0.4)


def test_a_classifier_that_is_too_slow_skips_the_oldest_and_says_so() -> None:
    tape = Tape(capacity_seconds=20)
    for _ in range(4):
        tape.play(15, 0.05)
    tape.finished = True
    pipeline, notebook, _ = pipeline_for(tape)
    pipeline.run()
    # 60 s went into a ring of 20: 40 s are overwritten, and one more is left as a start.
    assert notebook.seconds["garden", "skipped", "too slow"] == pytest.approx(42, abs=1.5)
    assert notebook.seconds["garden", "captured", ""] == pytest.approx(60)


def test_stop_finishes_what_was_heard_and_ends_what_goes_on() -> None:
    tape = Tape()
    pipeline, notebook, _ = pipeline_for(tape)
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    tape.play(20, 0.9)
    pipeline.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert [d.state for d in notebook.detections] == ["started", "ended"]
    assert notebook.detections[-1].end_sample == 20_000


def test_listeners_hear_of_a_detection_after_it_was_recorded() -> None:
    tape = Tape()
    tape.play(9, 0.9)
    tape.finished = True
    notebook = Notebook()
    order: list[tuple[str, int]] = []
    pipeline = Pipeline(
        Loudness(),
        notebook,
        PLAN,
        labels=len(LABELS),
        listeners=Listeners(detection=lambda d: order.append((d.state, len(notebook.detections)))),
    )
    pipeline.add(tape, Decider(Rules(Deciding(), LABELS), Nowhere(), Naming("run", "garden", "", "m")))
    pipeline.run()
    assert order == [("started", 1), ("ended", 2)]


def test_a_clip_is_ready_when_its_end_is_analysed() -> None:
    tape = Tape()
    pipeline, _, _ = pipeline_for(tape)
    assert pipeline.sample_rate("garden") == RATE
    assert pipeline.is_ready("nowhere", 10**9)
    tape.play(4.6, 0.05)
    listening = threading.Thread(target=pipeline.run)
    listening.start()
    try:
        # Of segments [0 s, 3 s) and [1.5 s, 4.5 s); the next begins at 3 s and may still find a voice behind that.
        wait_for(lambda: pipeline.is_ready("garden", 3000))
        assert not pipeline.is_ready("garden", 3001)
        tape.finished = True
        pipeline.wake()
        wait_for(lambda: pipeline.is_ready("garden", 10**9))
    finally:
        pipeline.stop()
        listening.join()


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_detections_sound_is_what_was_played() -> None:
    tape = Tape()
    tape.play(15, 0.05)
    tape.play(4.5, 0.9)
    tape.play(15, 0.05)
    tape.finished = True
    pipeline, notebook, _ = pipeline_for(tape)
    pipeline.run()
    ended = notebook.detections[-1]
    clip = pipeline.clip(ended, 2, 3)
    assert isinstance(clip, Clip)
    assert (clip.start_sample, clip.stop_sample) == (11_500, 24_000)
    assert np.array_equal(clip.samples, tape.ring.read(11_500, 24_000))
    assert clip.start == START + timedelta(seconds=11.5)
    assert pipeline.clip(replace(ended, run_id="an earlier run"), 2, 3) == GONE
    assert pipeline.clip(replace(ended, source="a removed one"), 2, 3) == GONE


def test_a_voice_is_remembered_for_as_long_as_its_sound() -> None:
    """Long after the windows that saw it, a clip that reaches back to it knows."""
    tape = Tape()
    tape.play(60, 0.05)
    tape.finished = True
    pipeline, _, classifier = pipeline_for(tape)
    spoken = iter([0.0, 0.0, 0.9])
    quiet = classifier.classify

    def classify(segments: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = quiet(segments)
        scores[:, 1] = [next(spoken, 0.0) for _ in segments]
        return scores

    classifier.classify = classify  # type: ignore[method-assign]
    pipeline.run()
    call = sample_detection(run_id="run", start_sample=50_000, end_sample=52_000)
    for before, voice in ((43.9, False), (44.0, False), (44.1, True), (45, True)):  # it lies from 3 s to 6 s
        clip = pipeline.clip(call, before, 0)
        assert isinstance(clip, Clip)
        assert clip.voice is voice


def read_ahead(tape: Tape, pipeline: Pipeline, seconds: int) -> threading.Thread:
    """A file's reader, as far ahead as the ring lets it."""

    def read() -> None:
        for _ in range(seconds):
            tape.ring.write_when_released(np.full(RATE, 0.05, dtype=np.float32))
            pipeline.wake()
        tape.finished = True
        pipeline.wake()

    reader = threading.Thread(target=read)
    reader.start()
    return reader


def test_of_a_recording_enough_stays_in_memory_to_cut_clips_from() -> None:
    """However far the reader of a file is ahead, a call that was just analysed is still there, with what came before."""
    tape = Tape(capacity_seconds=60)
    pipeline, _, _ = pipeline_for(tape, history=History(40, lambda _: None))
    reader = read_ahead(tape, pipeline, 300)
    missing: list[tuple[int, int]] = []
    decided = pipeline._decide

    def decide(track: Any, window: Window, scores: Scores, *, processing_ns: int) -> None:
        if tape.ring.oldest > max(0, window.stop_sample - 40 * RATE):
            missing.append((tape.ring.oldest, window.stop_sample))
        decided(track, window, scores, processing_ns=processing_ns)

    pipeline._decide = decide  # type: ignore[method-assign]
    pipeline.run()
    reader.join()
    assert not missing
    assert tape.ring.written == 300 * RATE


def test_a_recording_waits_for_the_clips_that_are_to_be_made_of_it() -> None:
    tape = Tape(capacity_seconds=60)
    first_ready: list[int | None] = [100 * RATE]
    pipeline, _, _ = pipeline_for(tape, history=History(40, lambda _: first_ready[0]))
    reader = read_ahead(tape, pipeline, 300)
    listening = threading.Thread(target=pipeline.run)
    listening.start()
    try:
        # As far as there is room without what lies 40 s before the clip's end: far enough to make it ready.
        wait_for(lambda: tape.ring.written == 120 * RATE)
        wait_for(lambda: pipeline.is_ready("garden", 115 * RATE))
        assert tape.ring.written == 120 * RATE
        first_ready[0] = None
        wait_for(lambda: tape.ring.written == 300 * RATE)
    finally:
        first_ready[0] = None
        reader.join()
        listening.join()


def test_a_dawn_chorus_is_recorded_in_one_go() -> None:
    pipeline, notebook, _ = pipeline_for(Tape())
    pipeline._publish([sample_detection(), sample_detection(label=LABELS[1])])
    pipeline._publish([])
    assert notebook.together == [2]


def test_deafness_is_counted_with_its_cause_up_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("birdwatchd.track.time.monotonic", lambda: now)
    tape = DeafTape()
    tape.play(10, 0.05)
    pipeline, notebook, _ = pipeline_for(tape)
    (track,) = pipeline._tracks
    track.take(stopping=False)
    tape.fault, tape.cause = "the sound server is gone", "device gone"
    now += 400
    notebook.account(track.account(stopping=False))
    assert notebook.seconds["garden", "lost", "device gone"] == pytest.approx(400)
    now += 100
    track.take(stopping=True)
    now += 50  # what was heard is still being analysed, but nothing is expected any more
    notebook.account(track.account(stopping=True))
    assert notebook.seconds["garden", "lost", "device gone"] == pytest.approx(500)
    assert notebook.seconds["garden", "expected", ""] == pytest.approx(510)


def test_what_cannot_be_analysed_in_time_at_the_end_is_skipped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("birdwatchd.track.time.monotonic", lambda: now)
    tape = Tape()
    tape.play(100, 0.9)
    pipeline, notebook, classifier = pipeline_for(tape)
    classify = classifier.classify

    def slowly(segments: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal now
        now += 10
        return classify(segments)

    monkeypatch.setattr(classifier, "classify", slowly)
    pipeline.stop()
    pipeline.run()
    assert len(classifier.batches) == 2  # after 20 s it was time
    seconds = notebook.seconds
    assert seconds["garden", "skipped", "too slow"] == pytest.approx(100 - 25.5, abs=0.01)
    assert seconds["garden", "analysed", ""] == pytest.approx(25.5, abs=0.01)
    assert notebook.detections[-1].state == "ended"


class DeafTape(Tape):
    """One that says why it hears nothing."""

    cause = ""


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
        self._thread.join(30)
        assert not self._thread.is_alive()

    def hear(self, tape: Tape, seconds: float, level: float) -> None:
        """All of it that can be analysed is."""
        tape.play(seconds, level)
        self.pipeline.wake()
        segments = int((tape.ring.written - tape.ring.first - 3000) / 1500)
        wait_for(lambda: (self.pipeline.analysed_to(tape.name) or 0) >= tape.ring.first + 1500 * segments)


def decider(tape: Tape, *, model: str = "m", labels: tuple[Label, ...] = LABELS, **deciding: Any) -> Decider:
    rules = Rules(Deciding.model_validate(deciding), labels)
    return Decider(rules, Nowhere(), Naming("run", tape.name, tape.site, model))


def test_a_source_comes_and_another_goes_while_a_third_is_heard_on() -> None:
    stays, goes, comes = Tape("stays"), Tape("goes"), Tape("comes")
    with Running(stays, goes) as running:
        running.hear(stays, 10, 0.9)
        running.hear(goes, 10.2, 0.9)
        goes.stop()
        assert running.pipeline.remove("goes") is None  # a recording has its own time
        # It is analysed to its end, and its detection is ended, before it is let go of.
        assert [(d.state, d.end_sample) for d in running.notebook.detections if d.source == "goes"][-1] == (
            "ended",
            10_200,
        )
        running.pipeline.between(lambda: running.pipeline.add(comes, decider(comes)))
        running.hear(comes, 10, 0.9)
        running.hear(stays, 10, 0.9)
        last = next(d for d in reversed(running.notebook.detections) if d.source == "goes")
        assert isinstance(running.pipeline.clip(last, 1, 1), Clip)  # it is still to be cut
    notebook = running.notebook
    assert [(d.state, d.start_sample, d.end_sample) for d in notebook.detections if d.source == "stays"][
        -1
    ] == ("ended", 0, 20_000)
    for name, seconds in (("stays", 20), ("goes", 10.2), ("comes", 10)):
        assert notebook.seconds[name, "captured", ""] == pytest.approx(seconds)
        assert notebook.seconds[name, "analysed", ""] == pytest.approx(seconds)
    assert not any(kind == "lost" for _, kind, _ in notebook.seconds)


def test_a_source_that_is_opened_anew_counts_on_and_the_pause_is_in_the_ledger() -> None:
    before = Tape()
    before.waits = False
    with Running(before) as running:
        running.hear(before, 9, 0.9)
        before.stop()
        until = running.pipeline.remove("garden")
        assert until == START + timedelta(seconds=9)
        after = Tape(first=9000, start=START + timedelta(seconds=9 + 2.5))
        after.waits = False
        pause = (until, "opened anew")
        running.pipeline.between(lambda: running.pipeline.add(after, decider(after), pause))
        running.hear(after, 9, 0.9)
        one, two = [d for d in running.notebook.detections if d.state == "started"]
        assert (one.start_sample, two.start_sample) == (0, 9000)
        assert two.start == START + timedelta(seconds=11.5)
        for detection, tape in ((one, before), (two, after)):
            clip = running.pipeline.clip(detection, 0, 0)
            assert isinstance(clip, Clip)
            assert np.array_equal(clip.samples, tape.ring.read(clip.start_sample, clip.stop_sample))
    seconds = {key[1:]: value for key, value in running.notebook.seconds.items()}
    assert seconds[("off", "opened anew")] == pytest.approx(2.5)
    assert seconds[("expected", "")] == seconds[("captured", "")] == pytest.approx(18)
    assert seconds[("analysed", "")] == pytest.approx(18)


def test_other_rules_count_from_the_next_window_on_and_what_goes_on_goes_on() -> None:
    tape = Tape()
    with Running(tape) as running:
        running.hear(tape, 12, 0.6)
        assert not running.notebook.detections
        lower = {"garden": decider(tape, threshold=0.5)}
        running.pipeline.between(lambda: running.pipeline.judge_by(lower))
        running.hear(tape, 12, 0.6)
        (started,) = running.notebook.detections
        assert started.threshold == 0.5
        assert started.start_sample > 0  # what was judged already is not judged again
        higher = {"garden": decider(tape, threshold=0.65)}
        running.pipeline.between(lambda: running.pipeline.judge_by(higher))
        running.hear(tape, 12, 0.6)  # above the threshold less the hysteresis
        assert len(running.notebook.detections) == 1
    assert [d.end_sample for d in running.notebook.detections] == [started.end_sample, 36_000]
    assert running.notebook.seconds["garden", "analysed", ""] == pytest.approx(36)


class Whisper:
    """Another model: four seconds at half the rate, the labels in another order."""

    labels = (Label(0, "Testus novus", "New"), Label(1, "Parus major", "Great Tit"))

    def classify(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        assert segments.shape[1] == 4 * RATE // 2
        return np.tile(np.array([0.9, 0.8], dtype=np.float32), (len(segments), 1))


def test_another_model_takes_over_without_a_gap_and_each_detection_says_which_it_was() -> None:
    tape = Tape()
    with Running(tape) as running:
        running.hear(tape, 12, 0.9)
        plan = Plan(window_seconds=6.0, hop_seconds=1.5, sample_rate=RATE // 2, input_samples=4 * RATE // 2)
        new = {"garden": decider(tape, model="new", labels=Whisper.labels)}

        def exchange() -> None:
            running.pipeline.listen_with(Whisper(), labels=2, batch_limit=4)
            running.pipeline.divide_by(plan, new)

        running.pipeline.between(exchange)
        heard_to = running.pipeline.analysed_to("garden") or 0
        running.hear(tape, 12, 0.9)
    ended = {(d.model, d.label.common_name): d for d in running.notebook.detections if d.state == "ended"}
    assert ended.keys() == {("m", "Great Tit"), ("new", "Great Tit"), ("new", "New")}
    old, new_one = ended["m", "Great Tit"], ended["new", "Great Tit"]
    # What the old one has taken is not told twice, and nothing lies between the two.
    assert new_one.start_sample == old.end_sample
    assert ended["new", "New"].start_sample == heard_to
    assert new_one.end_sample == 24_000
    assert running.notebook.seconds["garden", "analysed", ""] == pytest.approx(24)
    assert not any(kind in {"lost", "skipped"} for _, kind, _ in running.notebook.seconds)


def test_speech_is_not_cut_from_sound_that_no_rule_for_voices_has_seen() -> None:
    tape = Tape()
    pipeline, _, _ = pipeline_for()
    pipeline.add(tape, decider(tape, voice={"mode": "off"}))
    pipeline.expects_more = True
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    try:
        tape.play(9, 0.05)
        wait_for(lambda: pipeline.is_ready("garden", 7500))
        call = sample_detection(run_id="run", start_sample=4000, end_sample=5000)
        assert isinstance(pipeline.clip(call, 1, 1), Clip)
        pipeline.between(lambda: pipeline.judge_by({"garden": decider(tape)}))
        assert pipeline.clip(call, 1, 1) == UNHEARD
    finally:
        pipeline.stop()
        thread.join(30)


def test_who_asks_a_pipeline_that_has_ended_is_told() -> None:
    tape = Tape()
    tape.finished = True
    pipeline, _, _ = pipeline_for(tape)
    pipeline.run()
    with pytest.raises(Ended):
        pipeline.between(lambda: None)
    with pytest.raises(Ended):
        pipeline.remove("garden")


def test_a_change_that_fails_is_told_to_who_asked_and_the_loop_goes_on() -> None:
    tape = Tape()
    with Running(tape) as running:
        with pytest.raises(ZeroDivisionError):
            running.pipeline.between(lambda: 1 / 0)
        running.hear(tape, 9, 0.9)
