from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.stretches import around, tiles


@pytest.mark.parametrize(
    ("length", "clips"),
    [
        (9.0, [(0, 3), (3, 6), (6, 9)]),
        (7.4, [(0, 3), (3, 6)]),
        (7.5, [(0, 3), (3, 6), (6, 7.5)]),
        (1.0, [(0, 1)]),
        (0.0, []),
    ],
)
def test_a_recording_is_cut_to_its_end(length: float, clips: list[tuple[float, float]]) -> None:
    assert tiles(0.0, length, 3.0) == clips


def test_clips_may_overlap() -> None:
    assert tiles(0.0, 5.0, 3.0, 1.0) == [(0, 3), (1, 4), (2, 5)]


def test_a_short_call_is_in_the_middle() -> None:
    assert around([(10.0, 10.5)], 3.0, 60.0) == [(8.75, 11.75)]


def test_at_the_ends_of_a_recording_it_is_as_near_as_can_be() -> None:
    assert around([(0.1, 0.3), (59.5, 60.0)], 3.0, 60.0) == [(0.0, 3.0), (57.0, 60.0)]


def test_what_a_clip_holds_already_needs_no_other() -> None:
    assert around([(10.0, 10.5), (11.0, 11.5)], 3.0, 60.0) == [(8.75, 11.75)]


def test_a_long_song_gives_several() -> None:
    assert around([(10.0, 20.0)], 3.0, 60.0) == [(10, 13), (13, 16), (16, 19)]


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 20)), max_size=12),
    st.floats(0.5, 10),
)
def test_clips_never_overlap_nor_leave_the_recording(
    drawn: list[tuple[float, float]], seconds: float
) -> None:
    clips = around([(start, min(120.0, start + length)) for start, length in drawn], seconds, 120.0)
    assert all(0 <= start < end <= 120 for start, end in clips)
    assert all(first[1] <= second[0] + 1e-9 for first, second in pairwise(clips))
    assert all(end - start <= seconds + 1e-9 for start, end in clips)
