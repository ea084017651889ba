"""Every second has one fate: expected = captured + lost, and what was captured was analysed or skipped."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatchd.audio.clock import FileClock
from birdwatchd.audio.ledger import DEAF, NOT_EXPECTED, Ledger
from birdwatchd.audio.ring import LOST, Ring

RATE = 100
START = datetime(2026, 5, 1, 4, 59, 50, tzinfo=UTC)


class Rig:
    """A source whose gaps take time on its clock."""

    def __init__(self) -> None:
        self.ring = Ring(1000 * RATE, RATE)
        self.clock = FileClock(RATE)
        self.clock.anchor(0, START)
        self.ledger = Ledger("garden", self.ring, self.clock)
        self.sums: dict[tuple[int, str, str], float] = defaultdict(float)

    def hear(self, seconds: float) -> None:
        self.ring.write(np.zeros(round(seconds * RATE), dtype=np.float32))

    def miss(self, seconds: float, cause: str) -> None:
        resumed = self.clock.at(self.ring.written) + timedelta(seconds=seconds)
        self.ring.mark_gap(seconds, cause)
        self.clock.anchor(self.ring.written, resumed)

    def total(self, kind: str, cause: str | None = None) -> float:
        for entry in self.ledger.take():
            self.sums[entry.hour.hour, entry.kind, entry.cause] += entry.seconds
        return sum(
            seconds
            for (_, its_kind, its_cause), seconds in self.sums.items()
            if its_kind == kind and cause in (None, its_cause)
        )


def test_what_is_heard_is_split_at_the_hour() -> None:
    rig = Rig()
    rig.hear(30)
    rig.ledger.capture()
    rig.ledger.analysed(25 * RATE)
    rig.ledger.skipped(30 * RATE, "remainder")
    rig.total("captured")
    assert {key: pytest.approx(seconds) for key, seconds in rig.sums.items()} == {
        (4, "expected", ""): 10,
        (4, "captured", ""): 10,
        (5, "expected", ""): 20,
        (5, "captured", ""): 20,
        (4, "analysed", ""): 10,
        (5, "analysed", ""): 15,
        (5, "skipped", "remainder"): 5,
    }


def test_of_two_gaps_before_one_sample_the_first_ends_where_the_second_begins() -> None:
    rig = Rig()
    rig.hear(5)
    rig.ledger.capture()
    rig.miss(20, LOST)
    rig.miss(7, "stalled")
    rig.hear(5)
    rig.ledger.capture()
    assert rig.total("expected") == pytest.approx(37)
    assert rig.sums[4, "lost", LOST] == pytest.approx(5)
    assert rig.sums[5, "lost", LOST] == pytest.approx(15)
    assert rig.sums[5, "lost", "stalled"] == pytest.approx(7)


def test_a_gap_is_lost_where_it_lies_and_counted_once() -> None:
    rig = Rig()
    rig.hear(5)
    rig.ledger.capture()
    rig.miss(20, "device gone")
    rig.hear(5)
    for _ in range(3):
        rig.ledger.capture()
    assert rig.total("lost", "device gone") == pytest.approx(20)
    assert rig.sums[4, "lost", "device gone"] == pytest.approx(5)
    assert rig.sums[5, "lost", "device gone"] == pytest.approx(15)
    assert rig.total("expected") == pytest.approx(30)


def test_two_gaps_at_one_sample_are_both_counted() -> None:
    rig = Rig()
    rig.hear(1)
    rig.miss(2, "lost")
    rig.ledger.capture()
    rig.miss(3, "stalled")
    rig.ledger.capture()
    rig.hear(1)
    rig.ledger.capture()
    assert rig.total("lost") == pytest.approx(5)
    assert rig.total("captured") == pytest.approx(2)


def test_deafness_is_counted_while_it_lasts_and_becomes_the_gap_that_ends_it() -> None:
    rig = Rig()
    rig.hear(5)
    rig.ledger.capture()
    rig.ledger.deaf(4)
    assert rig.total("lost", DEAF) == pytest.approx(4)
    rig.ledger.deaf(14)
    assert rig.total("lost", DEAF) == pytest.approx(14)
    assert rig.total("expected") == pytest.approx(19)
    rig.miss(20, "stream gone")
    rig.hear(1)
    rig.ledger.capture()
    assert rig.total("lost", DEAF) == pytest.approx(0)
    assert rig.total("lost", "stream gone") == pytest.approx(20)
    assert rig.total("expected") == pytest.approx(26)


def test_sound_that_was_only_late_is_not_lost() -> None:
    rig = Rig()
    rig.ledger.deaf(4)
    rig.hear(6)
    rig.ledger.capture()
    assert rig.total("lost") == pytest.approx(0)
    assert rig.total("expected") == rig.total("captured") == pytest.approx(6)


def test_the_pause_between_two_recordings_was_not_expected() -> None:
    rig = Rig()
    rig.hear(5)
    rig.miss(3600, NOT_EXPECTED)
    rig.hear(5)
    rig.ledger.capture()
    assert rig.total("expected") == pytest.approx(10)
    assert rig.total("lost") == 0
    assert rig.sums[5, "captured", ""] == pytest.approx(5)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("hear"), st.integers(1, 4000)),
            st.tuples(st.just("miss"), st.integers(1, 900_000)),
            st.tuples(st.just("deaf"), st.integers(1, 900_000)),
            st.tuples(st.just("capture"), st.just(0)),
        ),
        max_size=30,
    )
)
def test_expected_is_captured_and_lost_whatever_happens(steps: list[tuple[str, int]]) -> None:
    rig = Rig()
    captured = lost = 0.0
    for what, hundredths in steps:
        seconds = hundredths / 100
        if what == "hear":
            rig.hear(seconds)
            captured += seconds
        elif what == "miss":
            rig.miss(seconds, "lost")
            lost += seconds
        elif what == "deaf":
            rig.ledger.capture()
            rig.ledger.deaf(seconds)
        else:
            rig.ledger.capture()
        rig.total("expected")
    rig.hear(0.01)
    rig.ledger.capture()
    rig.ledger.analysed(rig.ring.written)
    assert rig.total("captured") == pytest.approx(captured + 0.01)
    assert rig.total("lost") == pytest.approx(lost, abs=1e-4)
    assert rig.total("expected") == pytest.approx(captured + 0.01 + lost, abs=1e-4)
    assert rig.total("analysed") == pytest.approx(captured + 0.01)


def test_the_time_between_two_runs_is_told_apart() -> None:
    """Killed at ten to, minus half a minute; what was counted as deafness before the first sample is taken back."""
    rig = Rig()
    rig.ledger = Ledger("garden", rig.ring, rig.clock, (START - timedelta(seconds=30), "died"))
    rig.ledger.deaf(4.0)
    assert rig.total("off", "died") == pytest.approx(30)
    rig.clock.anchor(0, START + timedelta(seconds=4))
    rig.hear(10)
    rig.ledger.capture()
    assert rig.total("off", "died") == pytest.approx(34)
    assert rig.total("expected") == rig.total("captured") == pytest.approx(10)
    assert rig.total("lost") == pytest.approx(0)


def test_what_is_missing_before_the_first_sample_is_loss_and_not_the_time_before() -> None:
    rig = Rig()
    rig.ledger = Ledger("garden", rig.ring, rig.clock, (START - timedelta(seconds=30), "stopped"))
    rig.miss(20, "stream gone")
    rig.hear(5)
    rig.ledger.capture()
    assert rig.total("lost", "stream gone") == pytest.approx(20)
    assert rig.total("off", "stopped") == pytest.approx(30)
    assert rig.total("expected") == pytest.approx(25)


def test_what_came_late_after_all_is_not_lost() -> None:
    rig = Rig()
    rig.hear(20)
    rig.ring.mark_gap(8.0, LOST)
    rig.ledger.capture()
    assert rig.total("lost", LOST) == pytest.approx(8)
    rig.hear(20)
    rig.ring.belated_seconds += 7.0
    rig.ledger.capture()
    rig.ledger.capture()
    assert rig.total("lost", LOST) == pytest.approx(1)
    assert rig.total("captured") == pytest.approx(40)
    assert rig.total("expected") == pytest.approx(41)


def test_what_came_late_is_taken_back_from_the_hour_that_it_was_lost_in() -> None:
    """Lost before and after five o'clock; one of the two pieces, and half of the other, come after all."""
    rig = Rig()
    rig.hear(5)
    rig.miss(3, LOST)  # until 04:59:58
    rig.hear(6)
    rig.miss(4, LOST)  # from 05:00:04 on
    rig.hear(2)
    rig.ledger.capture()
    assert rig.total("lost") == pytest.approx(7)
    rig.ring.belated_seconds += 5.5
    rig.hear(2)
    rig.ledger.capture()
    assert rig.total("lost") == pytest.approx(1.5)
    assert {key[0]: seconds for key, seconds in rig.sums.items() if key[1:] == ("lost", LOST)} == {
        4: pytest.approx(1.5),
        5: pytest.approx(0),
    }
    assert rig.total("expected") == pytest.approx(rig.total("captured") + 1.5)


def test_entries_say_up_to_when_the_time_is_accounted_for() -> None:
    rig = Rig()
    rig.hear(30)
    rig.ledger.capture()
    assert {entry.until for entry in rig.ledger.take() if entry.kind == "expected"} == {
        START + timedelta(seconds=30)
    }
    rig.ledger.deaf(12.0)
    assert {entry.until for entry in rig.ledger.take() if entry.kind == "expected"} == {
        START + timedelta(seconds=42)
    }
