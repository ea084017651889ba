"""Where something is to be heard in a recording: energy above the local floor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from train.stretches import Stretch

FRAME_SECONDS = 0.05
LOW_HZ = 500.0
"""Below are wind and traffic, and few birds."""
FLOOR_SECONDS = 30.0
"""The floor is what is usual within such a time."""
FLOOR_PERCENTILE = 20
LOWEST_FLOOR_DBFS = -90.0
"""In digital silence every click would stand out."""
SHORTEST_FRAMES = 2
PAUSE_SECONDS = 0.5
"""A shorter pause does not end a song."""


def levels(
    blocks: Iterable[NDArray[np.float32]], rate: int, *, low_hz: float = LOW_HZ
) -> NDArray[np.float64]:
    """The level of each frame above `low_hz`, dBFS (frames,), of mono blocks float32 (n,)."""
    size = max(2, round(FRAME_SECONDS * rate))
    kept = np.fft.rfftfreq(size, 1 / rate) >= low_hz
    rest = np.zeros(0, np.float32)
    found = [np.zeros(0)]
    for block in blocks:
        samples = np.concatenate([rest, block])
        whole = len(samples) // size * size
        frames, rest = samples[:whole].reshape(-1, size), samples[whole:]
        spectrum = np.abs(np.fft.rfft(frames.astype(np.float64) * np.hanning(size)))[
            :, kept
        ]  # (frames, bins)
        power = 2 * np.square(spectrum).sum(axis=1) / size / np.square(np.hanning(size)).sum()  # (frames,)
        found.append(10 * np.log10(np.maximum(power, 1e-20)))
    return np.concatenate(found)


def floor_of(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is usual around each frame, dBFS (frames,)."""
    second = round(1 / FRAME_SECONDS)
    half = round(FLOOR_SECONDS / FRAME_SECONDS / 2)
    floor = np.empty_like(level)
    for start in range(0, len(level), second):
        near = level[max(0, start - half) : start + second + half]
        floor[start : start + second] = np.percentile(near, FLOOR_PERCENTILE)
    return np.maximum(floor, LOWEST_FLOOR_DBFS)


def active(level: NDArray[np.float64], above_db: float) -> list[Stretch]:
    """The stretches whose level is more than `above_db` over the floor."""
    loud = np.concatenate([[False], level > floor_of(level) + above_db, [False]])
    edges = np.flatnonzero(np.diff(loud.astype(np.int8)))
    found: list[Stretch] = []
    for first, last in edges.reshape(-1, 2):
        if last - first < SHORTEST_FRAMES:
            continue
        start, end = float(first * FRAME_SECONDS), float(last * FRAME_SECONDS)
        if found and start - found[-1][1] < PAUSE_SECONDS:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found
