"""The ledger of a source whose clock is set: its hours move with what was heard in them."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdwatchd.audio.clock import SampleClock
from birdwatchd.audio.ledger import Ledger
from birdwatchd.audio.past import MOST, SLICE, Past
from birdwatchd.audio.ring import LOST, Ring
from birdwatchd.trust import ClockChange, Trust

RATE = 100
NOW = datetime(2026, 5, 9, 4, 42, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, 0, 0, 20, tzinfo=UTC)


class Rig:
    """A microphone, its clock, and its ledger, which is looked after every five seconds."""

    def __init__(self, start: datetime, before: tuple[datetime, str] | None = None) -> None:
        self.elapsed = 1000.0
        self.offset = start.timestamp() - self.elapsed
        self.ring = Ring(600 * RATE, RATE)
        self.clock = SampleClock(
            RATE, monotonic=lambda: self.elapsed, wall=lambda: self.elapsed + self.offset
        )
        self.ledger = Ledger("garden", self.ring, self.clock, before)
        self.trust = Trust()
        self.hours: dict[datetime, dict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
        self.told = 0

    def hear(self, seconds: float) -> None:
        while seconds > 0:
            part = min(5.0, seconds)
            seconds -= part
            for _ in range(round(part * 2)):
                self.elapsed += 0.5
                self.ring.write(np.zeros(RATE // 2, np.float32))
                self.observe()
            self.account()

    def observe(self) -> None:
        missing = self.clock.observe(self.ring.written, self.elapsed)
        if missing > 0:
            self.ring.mark_gap(missing, LOST)
        self.ring.belated_seconds -= min(0.0, missing)

    def miss(self, seconds: float) -> None:
        self.elapsed += seconds
        lost = self.clock.resume(self.ring.written, self.elapsed)
        self.ring.mark_gap(lost, "stalled")

    def set_to(self, moment: datetime) -> None:
        self.offset = moment.timestamp() - self.elapsed

    def account(self) -> None:
        for known, step in enumerate(self.clock.steps, start=1):
            if step.number > self.told:
                wrong_from = self.trust.wrong_from(self.clock.steps[:known])
                self.ledger.correct(ClockChange("garden", RATE, step, wrong_from))
                self.told = step.number
        self.ledger.capture()
        self.ledger.analysed(self.ring.written)
        for entry in self.ledger.take():
            self.hours[entry.hour][entry.kind, entry.cause] += entry.seconds

    def seconds(self, kind: str, hour: datetime | None = None) -> float:
        return sum(
            seconds
            for when, kinds in self.hours.items()
            for (its, _), seconds in kinds.items()
            if its == kind and hour in (None, when)
        )

    def check(self) -> None:
        for hour, kinds in self.hours.items():
            assert all(seconds > -1e-6 for seconds in kinds.values()), (hour, dict(kinds))
            heard = kinds["captured", ""] + kinds["lost", "stalled"] + kinds["lost", LOST]
            assert kinds["expected", ""] == pytest.approx(heard, abs=1e-6)
            # What moves by less than half a second is no step.
            assert kinds["expected", ""] < 3601 + len(self.clock.steps)


def test_a_clock_that_is_set_for_ever_is_followed_with_the_last_few_settings_in_mind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hours = []
    for most in (3, 1000):
        monkeypatch.setattr("birdwatchd.audio.clock.STEPS", most)
        rig = Rig(NOW)
        rig.hear(30)
        for number in range(9):
            rig.set_to(EPOCH if number % 2 == 0 else NOW + timedelta(hours=number))
            rig.hear(40)
        assert [step.number for step in rig.clock.steps] == list(range(1, 10))[-most:]
        rig.check()
        assert rig.seconds("expected") == pytest.approx(30 + 9 * 40, abs=1)
        # What was heard before a wrong setting and analysed after it does not move with it.
        assert max(rig.hours) < NOW + timedelta(hours=9)
        hours.append({hour: kinds for hour, kinds in rig.hours.items() if any(kinds.values())})
    assert hours[0] == hours[1]


def test_hours_of_1970_move_to_the_day_they_were() -> None:
    rig = Rig(EPOCH)
    rig.hear(1500)
    rig.miss(120)
    rig.hear(600)
    rig.set_to(NOW)
    rig.hear(60)
    rig.check()
    # It began 37 minutes before 4:42.
    assert rig.seconds("expected", datetime(2026, 5, 9, 4, tzinfo=UTC)) == pytest.approx(2280, abs=1)
    assert rig.seconds("lost", datetime(2026, 5, 9, 4, tzinfo=UTC)) == pytest.approx(120, abs=1)
    assert rig.seconds("expected") == pytest.approx(2280, abs=1)
    assert rig.seconds("analysed") == pytest.approx(2160, abs=1)
    assert not any(
        kinds[key] > 1e-6 for hour, kinds in rig.hours.items() if hour.year == 1970 for key in kinds
    )


def test_an_hour_is_split_where_it_comes_to_lie_over_two() -> None:
    rig = Rig(EPOCH)
    rig.hear(1800)
    rig.set_to(NOW.replace(minute=15))
    rig.hear(5)
    rig.check()
    assert rig.seconds("captured", datetime(2026, 5, 9, 3, tzinfo=UTC)) == pytest.approx(900, abs=2)
    assert rig.seconds("captured", datetime(2026, 5, 9, 4, tzinfo=UTC)) == pytest.approx(905, abs=2)


def test_the_time_before_this_run_is_told_once_the_time_is_known() -> None:
    rig = Rig(EPOCH, (NOW - timedelta(hours=10), "died"))
    rig.hear(60)
    assert rig.seconds("off") == 0
    rig.set_to(NOW)
    rig.hear(60)
    assert rig.seconds("off") == pytest.approx(36_000 - 60, abs=1)


def test_a_run_that_ended_in_1970_is_not_followed_by_half_a_century() -> None:
    rig = Rig(NOW, (EPOCH, "died"))
    rig.hear(60)
    assert rig.seconds("off") == 0
    assert len(rig.hours) == 1


def test_what_was_taken_back_does_not_come_again_when_hours_move() -> None:
    """Five seconds seemed lost, and came; then the clock is set into the next hour, and back again."""
    rig = Rig(NOW)
    rig.hear(60)
    rig.elapsed += 5
    rig.hear(10)
    assert rig.seconds("lost") == pytest.approx(5, abs=0.1)
    rig.ring.write(np.zeros(5 * RATE, np.float32))
    rig.observe()
    rig.account()
    assert rig.seconds("lost") == pytest.approx(0, abs=0.1)
    for moment in (NOW + timedelta(hours=1), NOW + timedelta(minutes=3)):
        rig.set_to(moment)
        rig.hear(30)
        assert rig.seconds("lost") == pytest.approx(0, abs=0.1)
        rig.check()


@settings(max_examples=40, deadline=None)
@given(
    start=st.sampled_from([EPOCH, NOW, NOW - timedelta(hours=10)]),
    acts=st.lists(
        st.one_of(
            st.tuples(st.just("hear"), st.floats(5, 120)),
            st.tuples(st.just("miss"), st.floats(3, 4000)),
            st.tuples(st.just("set"), st.floats(-4e7, 4e7)),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_whatever_the_clock_does_every_second_has_one_place(
    start: datetime, acts: list[tuple[str, float]]
) -> None:
    """Steps within a day are corrections, so that at the end all lies side by side, however often the clock was set."""
    rig = Rig(start)
    rig.hear(10)
    for act, amount in acts:
        if act == "hear":
            rig.hear(amount)
        elif act == "miss":
            rig.miss(amount)
            rig.hear(0.5)
        else:
            rig.set_to(NOW + timedelta(seconds=amount))
    rig.hear(10)
    rig.check()
    assert rig.seconds("expected") == pytest.approx(rig.elapsed - 1000, abs=0.6)
    assert rig.seconds("analysed") == pytest.approx(rig.seconds("captured"), abs=0.6)


def test_only_a_month_is_kept() -> None:
    past = Past()
    for number in range(MOST + 10):
        past.add("captured", "", EPOCH.replace(second=0) + number * SLICE, SLICE.total_seconds(), 0)
    moved = list(past.move(1e9, 1))
    assert sum(seconds for *_, seconds in moved if seconds > 0) == pytest.approx(MOST * SLICE.total_seconds())
