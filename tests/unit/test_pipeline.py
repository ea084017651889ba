"""The loop: what is heard is recorded, and every second accounted for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from birdwatchd.config.schema import Deciding
from birdwatchd.detection.decider import Decider, Rules
from birdwatchd.detection.detector import Naming
from birdwatchd.detection.species_range import Nowhere
from birdwatchd.pipeline import Listeners, Pipeline
from birdwatchd.trust import ClockStep
from tests.doubles import sample_detection
from tests.looping import LABELS, PLAN, START, Loudness, Notebook, Tape, pipeline_for

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    thread.join(60)
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
