"""Which clips a model has learnt from: kept in its checkpoint, so that nobody takes what it knows by heart for a test of it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
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

    @classmethod
    def of(cls, train: Windows, validation: Windows | None) -> Learnt:
        """What a training on `train` will have learnt from."""
        division = hashlib.blake2b(digest_size=16)
        for part in (train, validation):
            for row, key in zip(part.rows, part.keys, strict=True) if part else ():
                division.update(repr((key, row.start, row.end, row.labels)).encode())
            division.update(b"|")
        return cls(_clips(train), _clips(validation) if validation else _table([]), division.hexdigest())

    def said_of(self, rows: Sequence[Row], *, validating: bool = False) -> list[str]:
        """How many of the rows it was trained on, and how many chose its best epoch; a sentence each, if there are any.

        A row that shares some of its sound with such a clip counts. Where one is `validating`, the second is as it should be.
        """
        digests = {path: _digest(path) for path in dict.fromkeys(row.path for row in rows)}
        clips = [(digests[row.path], *_span(row)) for row in rows]
        learnt, chose = (sum(map(_among(part), clips)) for part in (self.train, self.validation))
        said = []
        if learnt:
            said.append(
                f"{learnt} of {len(rows)} clips {'is' if learnt == 1 else 'are'} among what the model was trained on, "
                "and may know by heart: that is no test of it"
            )
        if chose and not validating:
            said.append(
                f"{chose} of {len(rows)} clips {'is' if chose == 1 else 'are'} among what chose its best epoch"
            )
        return said


def _clips(windows: Windows) -> Tensor:
    return _table([(_number(key), *_span(row)) for row, key in zip(windows.rows, windows.keys, strict=True)])


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
