"""When an input that delivers nothing but digital silence is opened again."""

from __future__ import annotations

import numpy as np
import pytest

from birdwatchd.audio.mute import LONGEST_PATIENCE_SECONDS, PATIENCE_SECONDS, Mute
from birdwatchd.audio.ring import Ring

RATE = 100


class World:
    """Time that is told to move, and sound with it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("birdwatchd.audio.mute.time.monotonic", lambda: self.now)
        self.ring = Ring(60 * RATE, RATE)
        self.mute = Mute(self.ring)

    def hear(self, seconds: float, level: float) -> list[float]:
        """After how many seconds it was to be opened again."""
        began, found = self.now, []
        for _ in range(round(seconds)):
            self.now += 1.0
            sound = level * np.random.default_rng(1).normal(size=RATE)
            self.ring.write(sound.astype(np.float32))
            if self.mute.look():
                found.append(self.now - began)
        return found


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_silence_is_borne_for_a_while_then_ever_longer(world: World) -> None:
    first, second, third, *_ = world.hear(6 * PATIENCE_SECONDS + 3000, 0.0)
    assert first == pytest.approx(PATIENCE_SECONDS, abs=3)
    assert second - first == pytest.approx(2 * PATIENCE_SECONDS, abs=3)
    assert third - second == pytest.approx(4 * PATIENCE_SECONDS, abs=3)
    reopened = world.hear(10 * LONGEST_PATIENCE_SECONDS, 0.0)
    assert len(reopened) <= 11


def test_the_faintest_sound_is_no_silence(world: World) -> None:
    assert world.hear(3 * PATIENCE_SECONDS, 1e-6) == []


def test_a_sound_makes_it_forget(world: World) -> None:
    assert world.hear(PATIENCE_SECONDS - 10, 0.0) == []
    world.hear(2, 0.1)
    assert world.hear(PATIENCE_SECONDS - 10, 0.0) == []


def test_where_no_sample_arrives_somebody_else_is_to_see_to_it(world: World) -> None:
    world.hear(10, 0.0)
    world.now += 3 * PATIENCE_SECONDS
    assert not world.mute.look()
