"""A clip is the very samples of its stretch, and nobody's voice."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatchd.audio.clips import GONE, NOT_YET, UNHEARD, Sound, Spans, cut
from birdwatchd.audio.clock import FileClock
from birdwatchd.audio.ring import Ring
from birdwatchd.domain import Clip, Gap

RATE = 8
START = datetime(2026, 5, 1, 4, 30, tzinfo=UTC)
EIGHTHS = st.integers(0, 40).map(lambda count: count / RATE)


def sound_of(ring: Ring, *, heard_to: int | None = None, voices: Spans = (), unheard: Spans = ()) -> Sound:
    clock = FileClock(ring.sample_rate)
    clock.anchor(0, START)
    return Sound("garden", ring, clock, ring.written if heard_to is None else heard_to, voices, unheard)


def counting(samples: int, *gaps: Gap, capacity: int = 100_000) -> Ring:
    """A ring whose samples say which they are."""
    ring = Ring(capacity, RATE)
    at = 0
    for gap in gaps:
        write(ring, at, gap.index)
        ring.mark_gap(gap.seconds, gap.cause)
        at = gap.index
    write(ring, at, samples)
    return ring


def write(ring: Ring, start: int, stop: int) -> None:
    for first in range(start, stop, ring.capacity):
        ring.write(np.arange(first, min(stop, first + ring.capacity), dtype=np.float32))


def kept(clip: Clip | str) -> Clip:
    assert isinstance(clip, Clip), clip
    assert clip.samples.tolist() == list(range(clip.start_sample, clip.stop_sample))
    return clip


def test_a_clip_is_the_very_samples_asked_for() -> None:
    clip = kept(cut(sound_of(counting(1000)), 200, 300, before_seconds=3, after_seconds=5))
    assert (clip.start_sample, clip.stop_sample) == (200 - 3 * RATE, 300 + 5 * RATE)
    assert clip.start == START + timedelta(seconds=clip.start_sample / RATE)
    assert (clip.source, clip.sample_rate, clip.gaps, clip.voice) == ("garden", RATE, (), False)


def test_before_the_first_sample_there_is_nothing() -> None:
    clip = kept(cut(sound_of(counting(1000)), 5, 300, before_seconds=60, after_seconds=0))
    assert clip.start_sample == 0


def test_after_the_last_sample_there_is_nothing() -> None:
    clip = kept(cut(sound_of(counting(310)), 200, 300, before_seconds=0, after_seconds=60))
    assert clip.stop_sample == 310


def test_what_is_not_analysed_stays_out() -> None:
    ring = counting(1000)
    assert kept(cut(sound_of(ring, heard_to=310), 200, 300, 0, 5)).stop_sample == 310
    assert cut(sound_of(ring, heard_to=150), 200, 300, 0, 5) == NOT_YET


def test_of_sound_that_was_overwritten_the_rest_is_kept() -> None:
    ring = counting(1000, capacity=200)
    clip = kept(cut(sound_of(ring), 790, 900, before_seconds=10, after_seconds=0))
    assert 800 <= clip.start_sample <= 802
    assert cut(sound_of(ring), 700, 800, 0, 0) == GONE
    assert cut(sound_of(ring), 2000, 2100, 0, 0) == GONE


@given(
    marks=st.lists(st.tuples(st.integers(1, 119), EIGHTHS), max_size=5).map(sorted),
    first=st.integers(0, 118),
    length=st.integers(1, 60),
    before=EIGHTHS,
    after=EIGHTHS,
)
def test_a_clip_is_of_the_time_asked_for_whatever_is_missing_in_it(
    marks: list[tuple[int, float]], first: int, length: int, before: float, after: float
) -> None:
    last = min(120, first + length)
    gaps = [Gap(index, seconds, "lost") for index, seconds in marks]
    at = [i / RATE + sum(gap.seconds for gap in gaps if gap.index <= i) for i in range(120)]
    wanted = [
        i
        for i in range(120)
        if first <= i < last
        or (i < first and at[first] - at[i] <= before)
        or (i >= last and at[i] < at[last - 1] + 1 / RATE + after)
    ]
    clip = kept(cut(sound_of(counting(120, *gaps)), first, last, before, after))
    assert clip.samples.tolist() == wanted
    assert list(clip.gaps) == [gap for gap in gaps if wanted[0] < gap.index <= wanted[-1]]


@pytest.mark.parametrize(
    ("span", "voice"), [((0, 176), False), ((0, 177), True), ((339, 400), True), ((340, 400), False)]
)
def test_a_voice_anywhere_in_it_is_told(span: tuple[int, int], *, voice: bool) -> None:
    clip = kept(cut(sound_of(counting(1000), voices=(span,)), 200, 300, before_seconds=3, after_seconds=5))
    assert clip.voice is voice


def test_sound_that_nobody_listened_to_stays_out() -> None:
    ring = counting(1000)
    clip = kept(cut(sound_of(ring, unheard=((150, 190), (320, 330))), 200, 300, 10, 10))
    assert (clip.start_sample, clip.stop_sample) == (190, 320)
    assert cut(sound_of(ring, unheard=((250, 251),)), 200, 300, 10, 10) == UNHEARD


def test_a_writer_that_goes_on_is_never_mixed_in() -> None:
    """Read while the ring is written as fast as can be: the samples are right, or there is a reason."""
    ring = Ring(4096, RATE)
    write(ring, 0, 8192)
    done = threading.Event()

    def go_on() -> None:
        at = 8192
        while not done.is_set():
            write(ring, at, at + 512)
            at += 512

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        reasons = {GONE}
        for _ in range(300):
            newest = ring.written
            clip = cut(sound_of(ring), newest - 100, newest, before_seconds=500, after_seconds=0)
            if isinstance(clip, str):
                assert clip in reasons
            else:
                # float32 tells neighbours apart up to 2^24 samples; beyond it compare as it would be written.
                expected = np.arange(clip.start_sample, clip.stop_sample, dtype=np.float32)
                assert np.array_equal(clip.samples, expected)
    finally:
        done.set()
        writer.join()
