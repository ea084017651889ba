"""Two segments whose scores tell whether a bundle still does what it did when it was made."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROBES = ("silence", "noise")
BEST = 5


def probe_segments(input_samples: int) -> NDArray[np.float32]:
    """Silence, and noise at -25 dBFS that is the same on every machine: float32 (2, input_samples)."""
    # A hash, not a random generator: generators may change their streams from one release to the next.
    stream = hashlib.shake_128(b"birdwatchd").digest(2 * input_samples)
    noise = np.frombuffer(stream, dtype="<i2").astype(np.float32) / 32768 * 0.1
    return np.stack([np.zeros_like(noise), noise])


def best_scores(scores: NDArray[np.float32]) -> dict[str, dict[int, float]]:
    """The five best of each probe, as a card records them. `scores` is float32 (2, labels)."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :BEST]
    return {
        probe: {int(index): float(row[index]) for index in indices}
        for probe, row, indices in zip(PROBES, scores, best, strict=True)
    }


def furthest_move(recorded: dict[str, dict[int, float]], scores: NDArray[np.float32]) -> float:
    """The largest difference between the recorded probe scores and `scores`, float32 (2, labels)."""
    return max(
        (
            abs(float(row[index]) - score)
            for probe, row in zip(PROBES, scores, strict=True)
            for index, score in recorded.get(probe, {}).items()
        ),
        default=0.0,
    )
