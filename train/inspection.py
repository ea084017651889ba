"""What a clip sounds like to somebody who only measures: length, loudness, clipping, and whether it was there before."""

from __future__ import annotations

import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.audio.decoding import open_sound
from birdwatchd.errors import RecordingError
from train.cache import refuse_damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from train.manifest import Row

SILENT_DBFS = -80.0
"""The root mean square below which there is nothing to learn from."""
FULL_SCALE = 0.999
CLIPPED_SHARE = 0.001
"""So many samples at full scale, and peaks are cut off."""
_BLOCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Inspected:
    """A row and what its sound is."""

    row: Row
    seconds: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    level_dbfs: float = -math.inf
    """Root mean square over all channels, without their mean."""
    clipped_share: float = 0.0
    """Of samples at full scale."""
    digest: str = ""
    """Of the samples: two files with the same sound have the same one, whatever wraps them."""
    complaint: str = ""
    """What is wrong with the file, which was read as far as it goes."""
    failure: str = ""
    """Why it cannot be read at all: a sentence."""

    @property
    def is_silent(self) -> bool:
        """There is nothing to hear."""
        return self.level_dbfs < SILENT_DBFS

    @property
    def is_clipped(self) -> bool:
        """Its peaks are cut off."""
        return self.clipped_share > CLIPPED_SHARE


def inspect(row: Row) -> Inspected:
    """Read the row's stretch from beginning to end."""
    try:
        return _inspect(row)
    except RecordingError as error:
        return Inspected(row, failure=str(error))


def inspect_all(rows: Sequence[Row], done: Callable[[Inspected], object] = lambda _: None) -> list[Inspected]:
    """Inspect the rows in their order, on all cores; `done` hears of each, on the caller's thread."""
    inspected = []
    # Decoding leaves Python alone, so threads are enough.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for one in pool.map(inspect, rows):
                inspected.append(one)
                done(one)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return inspected


def _inspect(row: Row) -> Inspected:
    digest = hashlib.blake2b(digest_size=16)
    count, clipped, total, square = 0, 0, 0.0, 0.0
    with open_sound(row.path) as sound:
        left = math.inf if row.end is None else round((row.end - row.start) * sound.sample_rate)
        digest.update(f"{sound.sample_rate} {sound.channels}".encode())
        for whole in sound.blocks(_BLOCK_SECONDS, skip_seconds=row.start):
            block = whole if len(whole) <= left else whole[: int(left)]
            left -= len(block)
            digest.update(np.ascontiguousarray(block).data)
            count += block.size
            clipped += int(np.count_nonzero(np.abs(block) >= FULL_SCALE))
            total += float(block.sum(dtype=np.float64))
            square += float(np.square(block, dtype=np.float64).sum())
            if left <= 0:
                break
        refuse_damaged(row.path, sound)
        complaint = sound.complaint
    if not count:
        at = f" after {row.start:g} s" if row.start else ""
        raise RecordingError(
            f"{row.path} holds no sound{at} ({complaint or 'its length is 0'}): leave it out"
        )
    power = square / count - (total / count) ** 2
    return Inspected(
        row,
        seconds=count / sound.channels / sound.sample_rate,
        sample_rate=sound.sample_rate,
        channels=sound.channels,
        level_dbfs=10 * math.log10(power) if power > 0 else -math.inf,
        clipped_share=clipped / count,
        digest=digest.hexdigest(),
        complaint=complaint,
    )
