"""Sound as columns of a spectrogram: little enough to be sent to a phone, made while somebody looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from birdwatchd.errors import Lapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from birdwatchd.audio.ring import Ring

BANDS = 96
LOWEST_HZ, HIGHEST_HZ = 60.0, 15_000.0
"""The bands lie evenly on the mel scale between them; birds hardly sing above."""
COLUMNS_PER_SECOND = 40
FRAME_SECONDS = 0.0213
"""1024 samples at 48 kHz: next to nothing lies between two columns."""
FLOOR_DB = -120.0
"""What 0 stands for; 255 is a sine of full scale."""
MOST_SECONDS = 2.0
"""Who is further behind goes on with the newest: a live picture is worth nothing late."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Neighbouring columns of one source: `values` uint8 (columns, BANDS), the lowest band first."""

    start_sample: int
    stop_sample: int
    values: NDArray[np.uint8]
    level_dbfs: float
    """Of all their sound, without its mean; -inf for digital silence."""


class Prism:
    """Takes a source's sound apart, once for all who look. It reads the ring from outside, and holds nobody up.

    Used by one thread at a time.
    """

    def __init__(self, ring: Ring) -> None:
        """Begin with the newest sound."""
        self.ring = ring
        rate = ring.sample_rate
        self._length = 1 << round(math.log2(FRAME_SECONDS * rate))
        self._hop = round(rate / COLUMNS_PER_SECOND)
        self._most = round(MOST_SECONDS * COLUMNS_PER_SECOND)
        self._window = np.hanning(self._length).astype(np.float32)
        self._bands = bands(rate, self._length)  # (bins, BANDS)
        self._next = max(ring.oldest, ring.written - self._length)

    @property
    def column_seconds(self) -> float:
        """From one column to the next."""
        return self._hop / self.ring.sample_rate

    def take(self) -> Columns | None:
        """The next columns, up to the next gap in the sound; None when there is not enough for one.

        What was overwritten, or is more than `MOST_SECONDS` old, is passed over.
        """
        ring = self.ring
        written = ring.written
        whole = (written - self._next - self._length) // self._hop + 1
        if whole > self._most:
            self._next += (whole - self._most) * self._hop
            whole = self._most
        if whole < 1:
            return None
        start = self._next
        # Beyond a gap another time counts: those columns are the next ones.
        gaps = [gap.index for gap in ring.gaps if start < gap.index < written]
        if gaps:
            whole = min(whole, -(-(gaps[0] - start) // self._hop))
        try:
            samples = ring.read(start, start + (whole - 1) * self._hop + self._length)
        except Lapped:
            self._next = max(ring.oldest, ring.written - self._length)
            return None
        self._next = min([start + whole * self._hop, *gaps])
        return Columns(start, self._next, self._values(samples), _level(samples))

    def _values(self, samples: NDArray[np.float32]) -> NDArray[np.uint8]:
        frames = sliding_window_view(samples, self._length)[:: self._hop]  # (columns, samples)
        spectra = np.fft.rfft(frames * self._window)  # (columns, bins)
        power = (spectra.real**2 + spectra.imag**2).astype(np.float32) @ self._bands  # (columns, BANDS)
        full_scale = float(self._window.sum() / 2) ** 2
        decibels = 10 * np.log10(power / full_scale + 1e-30)
        return np.asarray(np.clip((1 - decibels / FLOOR_DB) * 255, 0, 255).round().astype(np.uint8))


def bands(rate: int, length: int) -> NDArray[np.float32]:
    """How much each bin of a spectrum of `length` samples adds to each band: float32 (bins, BANDS), triangles.

    O'Shaughnessy's mel scale. Where a band is narrower than a bin, the bins around it are interpolated.
    """
    edges = np.linspace(_mel(LOWEST_HZ), _mel(min(HIGHEST_HZ, rate / 2)), BANDS + 2)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    bins = np.fft.rfftfreq(length, 1 / rate)[:, None]
    rise = np.maximum(hertz[1:-1] - hertz[:-2], rate / length)
    fall = np.maximum(hertz[2:] - hertz[1:-1], rate / length)
    away = bins - hertz[1:-1]  # (bins, BANDS)
    return np.asarray(np.maximum(0, 1 - np.where(away < 0, -away / rise, away / fall)), dtype=np.float32)


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def _level(samples: NDArray[np.float32]) -> float:
    power = float(samples.var(dtype=np.float64))
    return 10 * math.log10(power) if power > 0 else -math.inf
