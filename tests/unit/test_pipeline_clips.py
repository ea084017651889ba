"""The loop, and the sound that clips are cut from."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from birdwatchd.audio.clips import GONE
from birdwatchd.domain import Clip
from birdwatchd.track import History
from tests.doubles import sample_detection
from tests.integration.waiting import wait_until
from tests.looping import RATE, START, Tape, pipeline_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from birdwatchd.domain import Scores, Window
    from birdwatchd.pipeline import Pipeline


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
        wait_until(lambda: pipeline.is_ready("garden", 3000), "the first segments")
        assert not pipeline.is_ready("garden", 3001)
        tape.finished = True
        pipeline.wake()
        wait_until(lambda: pipeline.is_ready("garden", 10**9), "the end")
    finally:
        pipeline.stop()
        listening.join()


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
        wait_until(lambda: tape.ring.written == 120 * RATE, "what can be read")
        wait_until(lambda: pipeline.is_ready("garden", 115 * RATE), "what was read to be analysed")
        assert tape.ring.written == 120 * RATE
        first_ready[0] = None
        wait_until(lambda: tape.ring.written == 300 * RATE, "the rest")
    finally:
        first_ready[0] = None
        reader.join()
        listening.join()
