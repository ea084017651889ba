"""Sound that is known to the last sample."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 48000


def noise(path: Path, *, channels: int = 1, seconds: float = 1.5) -> NDArray[np.int16]:
    """Write a WAV file of noise.

    Returns:
        Its samples, (n, channels): all even, so that the mean of two is exact, and the first is not 0.
    """
    shape = (round(seconds * RATE), channels)
    samples = np.random.default_rng(1).integers(-9000, 9000, shape, np.int16)
    samples &= ~1
    samples[0] = 12344
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return samples


def heard(sound: NDArray[np.int16], played: NDArray[np.int16]) -> None:
    """Every sample of `played` is in `sound`, in one piece, after nothing but silence."""
    start = int(np.flatnonzero(sound)[0])
    assert np.array_equal(sound[start : start + len(played)], played)
