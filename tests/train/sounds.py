"""Small sound files to list and to cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soundfile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def tone(
    seconds: float, *, rate: int = 8000, hertz: float = 440.0, level: float = 0.1
) -> NDArray[np.float32]:
    """A sine, float32 (n,)."""
    times = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def noise(seconds: float, *, rate: int = 8000, seed: int = 0, level: float = 0.1) -> NDArray[np.float32]:
    """White noise, float32 (n,), another one for each seed."""
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def write(path: Path, samples: NDArray[np.float32], *, rate: int = 8000) -> Path:
    """A 16 bit file in the format that its suffix says; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def write_class(
    folder: Path, label: str, count: int, *, seconds: float = 3.0, first_seed: int = 0
) -> list[Path]:
    """`count` different clips of one class, each a recording of its own."""
    return [
        write(folder / label / f"{number:03}.wav", noise(seconds, seed=first_seed + number))
        for number in range(count)
    ]
