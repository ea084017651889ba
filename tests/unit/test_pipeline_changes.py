"""The loop while sources, rules and models are exchanged."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from birdwatchd.audio.clips import UNHEARD
from birdwatchd.audio.windows import Plan
from birdwatchd.domain import Clip, Label
from birdwatchd.errands import Ended
from tests.doubles import sample_detection
from tests.integration.waiting import wait_until
from tests.looping import RATE, START, Running, Tape, decider, pipeline_for

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
        wait_until(lambda: pipeline.is_ready("garden", 7500), "the sound to be analysed")
        call = sample_detection(run_id="run", start_sample=4000, end_sample=5000)
        assert isinstance(pipeline.clip(call, 1, 1), Clip)
        pipeline.between(lambda: pipeline.judge_by({"garden": decider(tape)}))
        assert pipeline.clip(call, 1, 1) == UNHEARD
    finally:
        pipeline.stop()
        thread.join(60)


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
