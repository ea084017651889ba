from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.train.sounds import noise, tone
from train.activity import active, levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000


def found(sound: NDArray[np.float32]) -> list[tuple[float, float]]:
    return [(round(start, 6), round(end, 6)) for start, end in active(levels([sound], RATE), 6.0)]


def test_the_level_of_a_tone_is_its_own() -> None:
    level = levels([tone(2.0, rate=RATE, hertz=2000, level=0.1)], RATE)
    assert len(level) == 40
    assert level == pytest.approx(-23.0, abs=0.1)


def test_blocks_of_any_size_give_the_same() -> None:
    sound = noise(3.0, rate=RATE)
    assert np.array_equal(levels([sound], RATE), levels(np.array_split(sound, 7), RATE))


def test_calls_over_noise_are_found() -> None:
    sound = noise(20.0, rate=RATE, level=0.01)
    for at in (3.0, 12.0):
        sound[round(at * RATE) : round((at + 0.5) * RATE)] += tone(0.5, rate=RATE, hertz=4000)
    assert found(sound) == [(3.0, 3.5), (12.0, 12.5)]


def test_the_floor_is_local() -> None:
    sound = np.concatenate([noise(60.0, rate=RATE, level=0.001), noise(60.0, rate=RATE, level=0.05, seed=1)])
    sound[20 * RATE : 21 * RATE] += tone(1.0, rate=RATE, hertz=4000, level=0.02)
    assert (20.0, 21.0) in found(sound)
    assert not [one for one in found(sound) if one[1] > 80]


def test_noise_and_silence_hold_nothing() -> None:
    assert active(levels([noise(60.0, rate=RATE)], RATE), 6.0) == []
    assert active(levels([np.zeros(60 * RATE, np.float32)], RATE), 6.0) == []


def test_wind_is_no_activity() -> None:
    sound = noise(20.0, rate=RATE, level=0.001)
    sound[5 * RATE : 8 * RATE] += tone(3.0, rate=RATE, hertz=100, level=0.5)
    inside = [one for one in found(sound) if one[0] > 5.2 and one[1] < 7.8]
    assert inside == []
