from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from birdwatchd.audio.ring import Ring
from birdwatchd.web.columns import BANDS, FLOOR_DB, HIGHEST_HZ, LOWEST_HZ, Columns, Prism, bands

RATE = 48000
BLOCK = RATE // 10


def tone(hertz: float, amplitude: float, samples: int, rate: int = RATE) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(samples) / rate)).astype(np.float32)


def play(ring: Ring, sound: np.ndarray) -> None:
    for at in range(0, len(sound), BLOCK):
        ring.write(sound[at : at + BLOCK])


def taken(prism: Prism) -> list[Columns]:
    return list(iter(prism.take, None))


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("hertz", [120.0, 1000.0, 4000.0, 7500.0])
def test_a_tone_is_seen_at_its_height_and_as_loud_as_it_is(rate: int, hertz: float) -> None:
    ring = Ring(10 * rate, rate)
    prism = Prism(ring)
    ring.write(tone(hertz, 0.1, rate // 2, rate))
    (columns,) = taken(prism)
    top = min(HIGHEST_HZ, rate / 2)
    low, high = (2595 * math.log10(1 + edge / 700) for edge in (LOWEST_HZ, top))
    place = (2595 * math.log10(1 + hertz / 700) - low) / (high - low) * (BANDS + 1) - 1
    # A narrow band is as wide as a bin of the spectrum.
    assert abs(float(columns.values[5].argmax()) - place) <= 2
    loudest = (1 - columns.values[5].max() / 255) * FLOOR_DB
    assert -24 < loudest < -17  # a sine of a tenth of full scale is at -20 dB
    assert columns.level_dbfs == pytest.approx(-23.0, abs=0.1)


def test_every_sample_is_in_one_column_and_none_twice() -> None:
    ring = Ring(10 * RATE, RATE)
    prism = Prism(ring)
    seen: list[Columns] = []
    for _ in range(50):
        ring.write(tone(2000, 0.1, 3333))
        seen += taken(prism)
    assert all(before.stop_sample == after.start_sample for before, after in itertools.pairwise(seen))
    assert sum(len(one.values) for one in seen) == round(50 * 3333 / RATE / prism.column_seconds)
    assert seen[-1].stop_sample - seen[0].start_sample == 1200 * sum(len(one.values) for one in seen)


def test_too_little_sound_is_no_column() -> None:
    ring = Ring(RATE, RATE)
    prism = Prism(ring)
    ring.write(tone(2000, 0.1, 500))
    assert prism.take() is None


def test_who_looks_first_now_does_not_get_the_past() -> None:
    ring = Ring(10 * RATE, RATE)
    play(ring, tone(2000, 0.1, 5 * RATE))
    prism = Prism(ring)
    (columns,) = taken(prism)
    assert len(columns.values) == 1
    assert columns.start_sample > 4.9 * RATE


def test_who_is_late_goes_on_with_the_newest() -> None:
    ring = Ring(10 * RATE, RATE)
    prism = Prism(ring)
    play(ring, tone(2000, 0.1, 5 * RATE))
    (columns,) = taken(prism)
    assert len(columns.values) == 80
    assert columns.stop_sample > 4.97 * RATE
    # Even if nothing of what it looked for is there any more.
    play(ring, tone(2000, 0.1, 25 * RATE))
    (columns,) = taken(prism)
    assert columns.stop_sample > 29.97 * RATE


def test_being_lapped_while_reading_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring(RATE, RATE)
    prism = Prism(ring)
    play(ring, tone(2000, 0.1, RATE // 2))
    read = ring.read

    def overtaken(start: int, stop: int) -> np.ndarray:
        monkeypatch.setattr(ring, "read", read)
        play(ring, tone(2000, 0.1, 4 * RATE))
        return read(start, stop)

    monkeypatch.setattr(ring, "read", overtaken)
    assert prism.take() is None
    play(ring, tone(2000, 0.1, BLOCK))
    (columns,) = taken(prism)
    assert columns.stop_sample > 4.5 * RATE


def test_columns_end_at_a_gap() -> None:
    """Beyond it another time counts."""
    ring = Ring(10 * RATE, RATE)
    prism = Prism(ring)
    play(ring, tone(2000, 0.1, BLOCK))
    ring.mark_gap(7.0, "test")
    play(ring, tone(2000, 0.1, BLOCK))
    before, after = taken(prism)
    assert before.stop_sample == after.start_sample == BLOCK
    # Whatever it is that lies between: the columns after it begin with the first sample that there is.
    play(ring, tone(2000, 0.1, 500))
    ring.mark_gap(7.0, "test")
    play(ring, tone(2000, 0.1, BLOCK))
    assert 2 * BLOCK + 500 in [one.start_sample for one in taken(prism)]


def test_digital_silence_is_black() -> None:
    ring = Ring(10 * RATE, RATE)
    prism = Prism(ring)
    ring.write(np.zeros(BLOCK, dtype=np.float32))
    (columns,) = taken(prism)
    assert not columns.values.any()
    assert columns.level_dbfs == -math.inf


def test_every_band_hears_something() -> None:
    for rate, length in ((8000, 128), (16_000, 256), (48_000, 1024), (384_000, 8192)):
        assert (bands(rate, length).sum(axis=0) > 0.3).all(), rate
