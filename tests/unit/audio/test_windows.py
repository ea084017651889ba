"""Segments lie on multiples of the hop, windows are runs of neighbours, and no sample is dealt with twice or forgotten."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatchd.audio.clock import FileClock
from birdwatchd.audio.ring import Ring
from birdwatchd.audio.windows import (
    LAG_SECONDS,
    Plan,
    Resampler,
    Segmenter,
    Skipped,
    StretchEnd,
    Windower,
    segments_per_window,
)
from birdwatchd.domain import Segment

if TYPE_CHECKING:
    from collections.abc import Callable

    from birdwatchd.domain import Scores, Window

RATE = 1000
START = datetime(2026, 5, 1, 4, 30, tzinfo=UTC)
PLAN = Plan(window_seconds=6.0, hop_seconds=1.5, sample_rate=RATE, input_samples=3 * RATE)


def drain(segmenter: Segmenter, *, ended: bool) -> list[Segment | Skipped | StretchEnd]:
    due: list[Segment | Skipped | StretchEnd] = []
    while (item := segmenter.take(ended=ended)) is not None:
        due.append(item)
        if isinstance(item, StretchEnd) and ended and item.sample == segmenter._ring.written:
            break
    return due


def spans(due: list[Segment | Skipped | StretchEnd]) -> list[tuple[int, int]]:
    return [(item.start_sample, item.stop_sample) for item in due if isinstance(item, Segment)]


def ring_with(samples: int, capacity: int = 100 * RATE) -> Ring:
    ring = Ring(capacity, RATE)
    ring.write(np.arange(samples, dtype=np.float32))
    return ring


@pytest.mark.parametrize(
    ("window", "segment", "hop", "count"),
    [
        (6, 3, 1.5, 3),
        (6, 3, 3, 2),
        (6, 6, 1.5, 1),
        (6, 3, 2, 2),
        (6, 3, 0.1, 31),
        (2, 3, 1.5, 1),
        (6, 3, 1.0, 4),
    ],
)
def test_a_window_holds_every_segment_that_fits(
    window: float, segment: float, hop: float, count: int
) -> None:
    assert segments_per_window(window, segment, hop) == count


def test_segments_start_on_multiples_of_the_hop() -> None:
    assert spans(drain(Segmenter("a", ring_with(7000), PLAN), ended=False)) == [
        (0, 3000),
        (1500, 4500),
        (3000, 6000),
    ]


def test_a_segment_is_not_due_before_its_last_sample() -> None:
    ring = ring_with(2999)
    segmenter = Segmenter("a", ring, PLAN)
    assert segmenter.take(ended=False) is None
    assert segmenter.due_at == 3000
    ring.write(np.zeros(1, dtype=np.float32))
    assert isinstance(segmenter.take(ended=False), Segment)


def test_the_last_segment_is_padded_and_one_with_less_than_half_of_real_sound_is_left_out() -> None:
    due = drain(Segmenter("a", ring_with(4500), PLAN), ended=True)
    assert spans(due) == [(0, 3000), (1500, 4500), (3000, 4500)]
    due = drain(Segmenter("a", ring_with(4499), PLAN), ended=True)
    assert spans(due) == [(0, 3000), (1500, 4499)]
    last = due[1]
    assert isinstance(last, Segment)
    assert last.samples[2998] == 4498
    assert last.samples[2999] == 0
    assert spans(drain(Segmenter("a", ring_with(1499), PLAN), ended=True)) == []


def test_a_segment_never_spans_a_gap_and_the_grid_begins_anew_after_it() -> None:
    ring = ring_with(4000)
    ring.mark_gap(2.0, "lost")
    ring.write(np.full(3500, 7, dtype=np.float32))
    due = drain(Segmenter("a", ring, PLAN), ended=False)
    assert spans(due) == [(0, 3000), (1500, 4000), (4000, 7000)]
    assert isinstance(due[2], StretchEnd)
    assert due[2].sample == 4000
    assert isinstance(due[3], Segment)
    assert set(due[3].samples) == {7.0}


def overrun(ring: Ring) -> None:
    for _ in range(20):
        ring.write(np.zeros(1500, dtype=np.float32))


def test_after_a_hiccup_only_what_was_overwritten_is_left_out_and_the_grid_stays() -> None:
    ring = ring_with(6000, capacity=20_000)
    segmenter = Segmenter("a", ring, PLAN)
    assert len(drain(segmenter, ended=False)) == 3
    overrun(ring)  # written up to 36 s, the oldest is at 16 s
    due = drain(segmenter, ended=False)
    assert due[0] == Skipped(6000, 18_000, "too slow")
    assert spans(due) == [(start, start + 3000) for start in range(18_000, 33_001, 1500)]


def test_an_overrun_that_comes_again_before_a_window_was_whole_leaves_out_all_that_waits() -> None:
    ring = ring_with(6000, capacity=20_000)
    segmenter = Segmenter("a", ring, PLAN)
    drain(segmenter, ended=False)
    overrun(ring)
    assert isinstance(segmenter.take(ended=False), Skipped)
    assert isinstance(segmenter.take(ended=False), Segment)  # from 18 s on
    overrun(ring)  # written up to 66 s
    due = drain(segmenter, ended=False)
    assert due[0] == Skipped(21_000, 63_000, "too slow")
    assert spans(due) == [(63_000, 66_000)]


def read_slowly(speed: Callable[[float], float], seconds: int) -> tuple[list[int], list[Skipped], float]:
    """With so many seconds of sound analysed per second: the lengths of the runs of segments, what is left out, how old it gets."""
    ring = ring_with(0, capacity=60_000)
    segmenter = Segmenter("a", ring, PLAN)
    runs, skipped, may_take, oldest = [0], list[Skipped](), 0.0, 0.0
    for tenth in range(10 * seconds):
        ring.write(np.zeros(100, dtype=np.float32))
        may_take = min(may_take + speed(tenth / 10) / 10, PLAN.hop_seconds)
        while may_take >= PLAN.hop_seconds and (due := segmenter.take(ended=False)) is not None:
            if isinstance(due, Skipped):
                skipped.append(due)
                runs.append(0)
            else:
                runs[-1] += 1
                may_take -= PLAN.hop_seconds
                assert isinstance(due, Segment)
                oldest = max(oldest, (ring.written - due.stop_sample) / RATE)
    return runs, skipped, oldest


@pytest.mark.parametrize("speed", [0.9, 0.5, 0.2, 0.1])
def test_one_that_is_always_too_slow_gets_whole_windows_all_the_same(speed: float) -> None:
    runs, skipped, oldest = read_slowly(lambda _: speed, 600)
    # Not too old either, or no clip could be cut of it any more: a window's segments later at most it is given up.
    assert oldest <= min(60, LAG_SECONDS + (PLAN.segments_per_window + 1) * PLAN.hop_seconds / speed)
    assert all(run >= PLAN.segments_per_window for run in runs[:-1])
    left_out = sum(one.stop_sample - one.start_sample for one in skipped) / RATE
    assert left_out == pytest.approx((1 - speed) * 600, abs=75)  # the ring holds a minute
    ends = [0, *(one.stop_sample for one in skipped)]
    assert all(end <= one.start_sample for end, one in zip(ends, skipped, strict=False))


def test_a_hiccup_is_made_up_for_and_nothing_is_left_out() -> None:
    runs, skipped, oldest = read_slowly(lambda second: 0.0 if 100 < second < 140 else 1.5, 300)
    assert skipped == []
    assert runs[0] >= 190
    assert oldest > 30


def test_a_source_that_waits_for_its_reader_is_never_skipped() -> None:
    segmenter = Segmenter("a", ring_with(300_000, capacity=300_000), PLAN, may_skip=False)
    assert all(isinstance(due, Segment) for due in drain(segmenter, ended=False))


@given(
    lengths=st.lists(st.integers(0, 20_000), min_size=1, max_size=4),
    hop=st.sampled_from([0.1, 0.37, 1.0, 1.5, 2.2, 3.0]),
    window=st.sampled_from([3.0, 4.0, 6.0, 7.7]),
)
def test_every_sample_is_in_a_segment_or_in_a_remainder(
    lengths: list[int], hop: float, window: float
) -> None:
    plan = Plan(window, hop, RATE, 3 * RATE)
    ring = Ring(200 * RATE, RATE)
    for length in lengths:
        ring.write(np.ones(length, dtype=np.float32))
        ring.mark_gap(1.0, "lost")
    due = drain(Segmenter("a", ring, plan), ended=True)
    position = 0
    for item in due:
        if isinstance(item, Segment):
            assert item.start_sample <= position
            position = max(position, item.stop_sample)
            real = item.stop_sample - item.start_sample
            assert real >= 1500
            assert item.samples[:real].all()
            assert not item.samples[real:].any()
        elif isinstance(item, StretchEnd):
            assert item.rest.start_sample == min(position, item.rest.stop_sample)
            position = max(position, item.rest.stop_sample)
    assert position == sum(lengths)


def windows_of(length: int, plan: Plan = PLAN) -> list[tuple[Window, Scores]]:
    clock = FileClock(RATE)
    clock.anchor(0, START)
    windower = Windower("a", clock, RATE, plan)
    found = []
    for item in drain(Segmenter("a", ring_with(length), plan), ended=True):
        if isinstance(item, Segment):
            made = windower.add(
                item.start_sample, item.stop_sample, np.array([item.start_sample], dtype=np.float32)
            )
        else:
            made = windower.end()
        if made is not None:
            found.append(made)
    return found


def test_neighbouring_windows_share_their_segments() -> None:
    windows = windows_of(8999)
    assert [scores.segment_starts for _, scores in windows] == [
        (0, 1500, 3000),
        (1500, 3000, 4500),
        (3000, 4500, 6000),
    ]
    assert windows[1][1].values.ravel().tolist() == [1500, 3000, 4500]
    assert windows[1][0].start.isoformat() == "2026-05-01T04:30:01.500000+00:00"


def test_a_file_shorter_than_a_window_gives_one_short_window() -> None:
    windows = windows_of(3000)
    assert [(window.start_sample, window.stop_sample) for window, _ in windows] == [(0, 3000)]
    assert windows[0][1].segment_starts == (0, 1500)


def test_a_long_file_gets_no_second_window_for_segments_that_were_decided_on() -> None:
    windows = windows_of(7400)
    assert [scores.segment_starts for _, scores in windows] == [(0, 1500, 3000), (1500, 3000, 4500)]
    assert windows[-1][0].stop_sample == 7400


@pytest.mark.parametrize("rate", [8000, 22050, 32000, 44100, 96000, 192000, 250000, 47999])
def test_a_resampled_segment_is_the_tone_that_went_in(rate: int) -> None:
    """Cut at the source's rate with its margins, a tone comes out in phase, also at the very edges."""
    target, frequency = 48000, 1000.0
    resampler = Resampler(rate, target)
    length = rate * 3
    time = (np.arange(-resampler.margin, length + resampler.margin)) / rate
    segment = resampler(np.sin(2 * np.pi * frequency * time).astype(np.float32), 3 * target)
    expected = np.sin(2 * np.pi * frequency * np.arange(3 * target) / target)
    assert segment.shape == (3 * target,)
    # An odd rate cannot put the first sample on the grid: half a sample beside is 0.07 of a 1 kHz tone.
    assert np.abs(segment - expected).max() < (0.07 if rate == 47999 else 2e-3)


def test_live_sound_and_a_file_give_the_same_segments() -> None:
    """Blocks as they come, and the whole at once: the same samples go to the model."""
    rate = 44100
    plan = Plan(6.0, 1.5, 48000, 144000)
    sound = np.random.default_rng(3).normal(0, 0.1, rate * 8).astype(np.float32)
    whole, live = Ring(rate * 20, rate), Ring(rate * 20, rate)
    whole.write(sound)
    at_once = [item for item in drain(Segmenter("a", whole, plan), ended=False) if isinstance(item, Segment)]
    segmenter, bit_by_bit = Segmenter("a", live, plan), []
    for block in np.array_split(sound, 700):
        live.write(block)
        bit_by_bit += [item for item in drain(segmenter, ended=False) if isinstance(item, Segment)]
    assert len(at_once) == len(bit_by_bit) == 4
    for one, other in zip(at_once, bit_by_bit, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


def test_the_level_leaves_the_mean_out() -> None:
    ring = Ring(10 * RATE, RATE)
    ring.write((0.5 + 0.1 * np.tile([1.0, -1.0], 2000)).astype(np.float32))
    segment = Segmenter("a", ring, PLAN).take(ended=False)
    assert isinstance(segment, Segment)
    assert segment.level_dbfs == pytest.approx(-20, abs=0.01)
