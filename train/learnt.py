"""Which clips a model has learnt from: kept in its checkpoint, so that nobody takes what it knows by heart for a test of it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from birdwatchd.errors import RecordingError
from train.cache import content_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from train.dataset import Windows
    from train.manifest import Row

END = 2**62
"""Where a clip ends that has its file's end, in milliseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """Clips are known by what is in their files, wherever those lie and whatever they are called."""

    train: Tensor
    """Clips that were trained on: digest of the file, and where in it the clip begins and ends in ms, int64 (clips, 3)."""
    validation: Tensor
    """Clips that chose the best epoch, likewise."""
    division: str
    """Digest of all of these with their labels, in their order: it takes the same to go on exactly."""
    noise: Tensor = field(default_factory=lambda: _table([]))
    """Sound that `augment.noise` mixed in, likewise; none in checkpoints of before that was kept."""

    @classmethod
    def of(cls, train: Windows, validation: Windows | None, noise: Windows | None = None) -> Learnt:
        """What a training on `train` will have learnt from."""
        division = hashlib.blake2b(digest_size=16)
        for part in (train, validation):
            for row, key in zip(part.rows, part.keys, strict=True) if part else ():
                division.update(repr((key, row.start, row.end, row.labels)).encode())
            division.update(b"|")
        return cls(_clips(train), _clips(validation), division.hexdigest(), _clips(noise))

    def said_of(self, rows: Sequence[Row], *, validating: bool = False) -> list[str]:
        """How many of the rows it was trained on, chose its best epoch, or were mixed in; a sentence each, if there are any.

        A row that shares some of its sound with such a clip counts. Where one is `validating`, the second is as it should be.
        """
        digests = {path: _digest(path) for path in dict.fromkeys(row.path for row in rows)}
        clips = [(digests[row.path], *_span(row)) for row in rows]
        parts = (self.train, self.validation, self.noise)
        learnt, chose, mixed = (sum(map(_among(part), clips)) for part in parts)
        said = []
        if learnt:
            said.append(
                f"{_so_many(learnt, len(rows))} among what the model was trained on, and may know by heart: that is no test "
                "of it"
            )
        if chose and not validating:
            said.append(f"{_so_many(chose, len(rows))} among what chose its best epoch")
        if mixed:
            said.append(f"{_so_many(mixed, len(rows))} among the noise that it was trained to hear through")
        return said


def _so_many(some: int, every: int) -> str:
    """`the one clip is`, `2 of 6 clips are`."""
    return "the one clip is" if every == 1 else f"{some} of {every} clips {'is' if some == 1 else 'are'}"


def _clips(windows: Windows | None) -> Tensor:
    rows = zip(windows.rows, windows.keys, strict=True) if windows else ()
    return _table([(_number(key), *_span(row)) for row, key in rows])


def _table(clips: list[tuple[int, int, int]]) -> Tensor:
    return torch.tensor(clips, dtype=torch.int64).reshape(-1, 3)


def _span(row: Row) -> tuple[int, int]:
    return round(row.start * 1000), END if row.end is None else round(row.end * 1000)


def _digest(path: Path) -> int:
    try:
        return _number(content_of(path))
    except RecordingError:  # who judges has named it
        return 0


def _number(digest: str) -> int:
    """Its first 63 bits, of which 0 is none."""
    return int(digest[:16], 16) >> 1


def _among(part: Tensor) -> Callable[[tuple[int, int, int]], bool]:
    """Whether a clip shares some of its sound with one of `part`."""
    spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for digest, start, end in part.tolist():
        spans[digest].append((start, end))
    return lambda clip: any(start < clip[2] and clip[1] < end for start, end in spans.get(clip[0], ()))
