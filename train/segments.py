"""Cuts a stretch of a recording into what a model takes at once, a little at a time however long the file is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soxr

from birdwatchd.audio.decoding import open_sound
from birdwatchd.audio.mix import mix
from birdwatchd.errors import RecordingError
from train.cache import refuse_damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from train.manifest import Row

BLOCK_SECONDS = 10.0


def segments(
    row: Row,
    *,
    sample_rate: int,
    seconds: float,
    hop_seconds: float,
    complain: Callable[[str], object] | None = None,
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Where each segment begins, in seconds of the file, and its samples, float32 (seconds * sample_rate,), mono.

    What is left at the end, if it is half a segment or more, is heard with the sound before it: a live source has no
    zeros there either. What is shorter than one segment is filled up with zeros, so that every clip has a score.
    With `complain` a damaged file is taken as far as it goes, and `complain` told what is wrong with it.

    Raises:
        RecordingError: the file cannot be read, holds no sound in that stretch, or, at the end, is damaged and there is no
            `complain`.
    """
    length, hop = round(seconds * sample_rate), round(hop_seconds * sample_rate)
    number = total = 0
    waiting = np.empty(0, dtype=np.float32)  # from the start of the next segment on
    recent = waiting  # as much as a segment holds, up to the present
    gap = 0  # samples until the next segment begins, where segments do not touch
    for block in _blocks(row, sample_rate, complain):
        total += len(block)
        recent = np.concatenate([recent, block])[-length:]
        waiting = np.concatenate([waiting, block[gap:]])
        gap = max(0, gap - len(block))
        while len(waiting) >= length:
            yield row.start + number * hop / sample_rate, waiting[:length].copy()
            number += 1
            gap = max(0, hop - len(waiting))
            waiting = waiting[hop:]
    if not total:
        raise RecordingError(f"{row.path} has no sound from {row.start:g} s on: mend its row in the manifest")
    if total < length:
        yield row.start, np.pad(recent, (0, length - total))
    elif len(waiting) >= length / 2 and total > (number - 1) * hop + length:
        yield row.start + (total - length) / sample_rate, recent


def _blocks(
    row: Row, sample_rate: int, complain: Callable[[str], object] | None
) -> Iterator[NDArray[np.float32]]:
    """The row's stretch, mixed to mono and resampled, float32 (n,), piece by piece."""
    with open_sound(row.path) as sound:
        left = None if row.end is None else round((row.end - row.start) * sound.sample_rate)
        resampler = soxr.ResampleStream(sound.sample_rate, sample_rate, 1, dtype="float32", quality="HQ")
        for block in sound.blocks(BLOCK_SECONDS, skip_seconds=row.start):
            mono = mix(block[:left])
            left = None if left is None else left - len(mono)
            yield resampler.resample_chunk(mono)
            if left == 0:
                break
        if complain is None:
            refuse_damaged(row.path, sound)
        elif sound.complaint:
            complain(f"{row.path}: {sound.complaint}")
        yield resampler.resample_chunk(np.empty(0, dtype=np.float32), last=True)
