"""Where blocks come in."""

from __future__ import annotations

import numpy as np
import pytest

from birdwatchd.audio.clock import SampleClock
from birdwatchd.audio.intake import Intake
from birdwatchd.audio.ring import Ring

RATE = 1000


class World:
    """Time stands still until it is told to move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.woken = 0
        self.asleep = 0.0
        monkeypatch.setattr("birdwatchd.audio.intake.elapsed", lambda: self.now)
        monkeypatch.setattr("birdwatchd.audio.intake.time.monotonic", lambda: self.now - self.asleep)
        self.ring = Ring(60 * RATE, RATE)
        self.clock = SampleClock(RATE, monotonic=lambda: self.now, wall=lambda: self.now + 1e9)
        self.intake = Intake(self.ring, self.clock, self.wake)

    def wake(self) -> None:
        self.woken += 1

    def hear(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.intake.take(np.ones(RATE // 10, np.float32))
            self.intake.follow()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_blocks_go_into_the_ring_and_wake_the_reader(world: World) -> None:
    assert not world.intake.follow()
    world.hear(1)
    assert world.ring.written == RATE
    assert world.woken == 10
    assert not world.intake.follow()
    assert world.ring.gaps == ()


def test_an_interruption_is_a_gap_before_the_next_block(world: World) -> None:
    world.hear(2)
    world.intake.interrupt("unheard of")
    world.intake.interrupt("stalled")  # the last word counts
    world.now += 7
    assert not world.intake.follow()
    world.hear(2)
    (gap,) = world.ring.gaps
    assert (gap.index, gap.cause) == (2 * RATE, "stalled")
    assert gap.seconds == pytest.approx(7)
    step = world.clock.at(2 * RATE) - world.clock.at(2 * RATE - 1)
    assert step.total_seconds() == pytest.approx(7 + 1 / RATE, abs=1e-5)


def test_what_was_lost_on_the_way_is_a_gap(world: World) -> None:
    world.hear(5)
    world.now += 1.5  # samples vanish, nobody says a word
    world.hear(5)
    (gap,) = world.ring.gaps
    assert gap.cause == "lost"
    assert gap.seconds == pytest.approx(1.5, abs=0.01)
    assert world.clock.at(world.ring.written).timestamp() == pytest.approx(world.now + 1e9, abs=0.05)


def test_a_machine_that_slept_says_so(world: World) -> None:
    world.hear(5)
    world.now += 3600  # the card stood still with it
    world.asleep += 3600
    world.hear(5)
    world.now += 1.5
    world.hear(5)
    first, second = world.ring.gaps
    assert (first.cause, second.cause) == ("machine asleep", "lost")
    assert first.seconds == pytest.approx(3600, abs=0.01)
    # No setting of the clock: what was heard before it stays where it is.
    assert world.clock.steps == ()
    assert (world.clock.at(15 * RATE) - world.clock.at(0)).total_seconds() == pytest.approx(3616.5, abs=0.1)


def test_sound_that_was_taken_for_lost_and_comes_is_told(world: World) -> None:
    world.hear(60)
    world.now += 4
    world.hear(10)
    assert sum(gap.seconds for gap in world.ring.gaps) == pytest.approx(4, abs=0.1)
    for _ in range(40):
        world.intake.take(np.ones(RATE // 10, np.float32))
        world.intake.follow()
    world.hear(1)
    assert world.ring.belated_seconds == pytest.approx(4, abs=0.1)
