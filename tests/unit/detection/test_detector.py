"""Overlapping windows become one detection, with the true start and end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatchd.detection.detector import Detector, Firing, Naming
from birdwatchd.domain import Detection, Label, Window, detection_id

RATE = 1000
HOP = 1500
START = datetime(2026, 5, 1, 4, 30, tzinfo=UTC)
TIT = Label(0, "Parus major", "Great Tit")
WREN = Label(1, "Troglodytes troglodytes", "Eurasian Wren")
NAMING = Naming("run", "garden", "home", "birdnet-2.4")


def detector(hold: float = 3.0, longest: float = 30.0, refractory: float = 0.0) -> Detector:
    return Detector(NAMING, hold_seconds=hold, max_detection_seconds=longest, refractory_seconds=refractory)


def window(number: int, *, shift: timedelta = timedelta(0)) -> Window:
    first = number * HOP
    starts = (first, first + HOP, first + 2 * HOP)
    return Window("garden", first, first + 6000, START + shift + timedelta(milliseconds=first), RATE, starts)


def firing(number: int, segments: tuple[int, int], *, label: Label = TIT, score: float = 0.8) -> Firing:
    first = number * HOP
    return Firing(
        label, score, 0.7, first + segments[0] * HOP, first + segments[1] * HOP + 3000, 0.5, voice=False
    )


def listen(by: Detector, fired: dict[int, list[Firing]], count: int) -> list[Detection]:
    changed = []
    for number in range(count):
        changed += by.advance(window(number), fired.get(number, []), 7)
    return changed + by.finish()


def test_windows_that_share_a_call_are_one_detection() -> None:
    """A call in segments 2 and 3 of the grid: windows 0 to 3 see it."""
    fired = {
        0: [firing(0, (2, 2))],
        1: [firing(1, (1, 2), score=0.9)],
        2: [firing(2, (0, 1))],
        3: [firing(3, (0, 0))],
    }
    started, ended = listen(detector(), fired, 10)
    assert (started.state, ended.state) == ("started", "ended")
    assert started.id == ended.id == detection_id("garden", "Parus major", started.start, "birdnet-2.4")
    assert (ended.start_sample, ended.end_sample) == (3000, 7500)
    assert ended.start == START + timedelta(seconds=3)
    assert ended.end == START + timedelta(seconds=7.5)
    assert (ended.score, ended.windows, ended.processing_ns) == (0.9, 4, 7)
    assert (ended.site, ended.occurrence, ended.threshold, ended.label) == ("home", 0.5, 0.7, TIT)


def test_it_ends_when_nothing_has_fired_for_the_hold_time() -> None:
    by = detector(hold=3.0)
    by.advance(window(0), [firing(0, (0, 1))], 0)
    assert by.advance(window(1), [], 0) == []
    assert [d.state for d in by.advance(window(2), [], 0)] == ["ended"]
    assert by.finish() == []


def test_a_short_pause_does_not_split_it() -> None:
    changed = listen(detector(), {0: [firing(0, (0, 1))], 2: [firing(2, (1, 2))]}, 6)
    assert [d.state for d in changed] == ["started", "ended"]
    assert changed[-1].end_sample == 9000


def test_a_long_one_is_closed_and_a_new_one_begins_where_it_ended() -> None:
    changed = listen(detector(longest=9.0), {n: [firing(n, (0, 2))] for n in range(8)}, 8)
    ended = [d for d in changed if d.state == "ended"]
    assert [(d.start_sample, d.end_sample) for d in ended] == [(0, 9000), (9000, 16500)]
    assert len({d.id for d in ended}) == 2
    assert [d.state for d in changed] == ["started", "ended", "started", "ended"]


def test_species_are_followed_apart() -> None:
    fired = {0: [firing(0, (0, 1)), firing(0, (1, 2), label=WREN)], 1: [firing(1, (1, 2), label=WREN)]}
    ended = {
        d.label: (d.start_sample, d.end_sample) for d in listen(detector(), fired, 6) if d.state == "ended"
    }
    assert ended == {TIT: (0, 4500), WREN: (1500, 7500)}


def test_the_refractory_time_runs_from_its_end() -> None:
    by = detector(refractory=60.0)
    by.advance(window(0), [firing(0, (0, 1))], 0)
    assert by.resting_seconds(TIT, START + timedelta(seconds=5)) == 0
    by.advance(window(1), [], 0)
    by.advance(window(2), [], 0)
    assert by.resting_seconds(TIT, START + timedelta(seconds=14.5)) == pytest.approx(50)
    assert by.resting_seconds(WREN, START + timedelta(seconds=14.5)) == 0


@pytest.mark.parametrize("shift", [timedelta(hours=1), timedelta(days=-1)])
def test_a_call_does_not_go_on_across_a_long_gap_or_into_the_past(shift: timedelta) -> None:
    by = detector()
    by.advance(window(0), [firing(0, (1, 2))], 0)
    changed = by.advance(window(4, shift=shift), [firing(4, (0, 1))], 0)
    assert [d.state for d in changed] == ["ended", "started"]
    assert changed[1].start == START + shift + timedelta(seconds=6)


def test_a_gap_shorter_than_the_hold_does_not_split_it() -> None:
    by = detector()
    by.advance(window(0), [firing(0, (1, 2))], 0)
    assert by.advance(window(4, shift=timedelta(seconds=0.2)), [firing(4, (0, 1))], 0) == []


@given(st.lists(st.sampled_from([(), ((0, 1),), ((1, 2),), ((0, 2),), ((1, 1),)]), max_size=60))
def test_detections_of_a_species_never_overlap_and_each_ends_once(
    hits: list[tuple[tuple[int, int], ...]],
) -> None:
    fired = {number: [firing(number, span) for span in spans] for number, spans in enumerate(hits)}
    changed = listen(detector(longest=12.0), fired, len(hits))
    ended = [d for d in changed if d.state == "ended"]
    assert sorted(d.id for d in ended) == sorted(d.id for d in changed if d.state == "started")
    for one, following in pairwise(ended):
        assert one.end_sample <= following.start_sample
    assert all(d.start_sample < d.end_sample <= d.start_sample + 12_000 for d in ended)
    assert sum(d.windows for d in ended) == sum(bool(spans) for spans in hits)


def test_the_clip_path_is_made_at_birth_and_stays() -> None:
    naming = replace(
        NAMING, clip_path=lambda label, start, identity: f"{start:%H%M}/{label.common_name}-{identity}"
    )
    by = Detector(naming, hold_seconds=3, max_detection_seconds=30, refractory_seconds=0)
    started, ended = listen(by, {0: [firing(0, (0, 1))], 1: [firing(1, (0, 1))]}, 8)
    assert started.clip_path == f"0430/Great Tit-{started.id}"
    assert ended.clip_path == started.clip_path


def test_without_a_name_for_clips_there_is_no_path() -> None:
    assert {found.clip_path for found in listen(detector(), {0: [firing(0, (0, 1))]}, 8)} == {""}


@pytest.mark.parametrize("back", [timedelta(minutes=30), timedelta(days=400)])
def test_a_clock_that_is_set_back_makes_no_species_rest_for_longer(back: timedelta) -> None:
    by = detector(refractory=60.0)
    listen(by, {0: [firing(0, (0, 1))]}, 8)
    assert by.resting_seconds(TIT, window(8).start) > 0
    assert by.resting_seconds(TIT, window(8).start - back) == 0.0
