"""The loop where it listens at some hours only."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from birdwatchd.domain import Clip
from birdwatchd.listening_hours import RESTING
from tests.integration.waiting import wait_until
from tests.looping import RATE, START, Tape, pipeline_for


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
        wait_until(lambda: [one.state for one in notebook.detections].count("ended") == 3, "three ends")
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
                wait_until(lambda: (pipeline.analysed_to("garden") or 0) > (second - 4) * RATE, "the second")  # noqa: B023 - called at once
                rested.append(pipeline.rests("garden"))
    finally:
        pipeline.stop()
        listening.join()
    assert notebook.detections[0].start == START + timedelta(seconds=60)
    assert notebook.seconds["garden", "skipped", RESTING] == pytest.approx(60)
    assert rested == [True] * 6 + [False]
