"""The clips of a manifest as windows of one length, read from the cache wherever they are wanted."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from birdwatchd.errors import RecordingError, UserError
from train.cache import SoundCache, cache_folder
from train.manifest import Row, to_label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from birdwatchd.domain import Label
    from train.settings import Settings

SILENT = 1e-4
"""A window whose loudest sample is below this (-80 dBFS) is padding: nothing can be learnt of it."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that cannot be used, and why."""

    row: Row
    reason: str


class Windows:
    """Windows of `settings.seconds`, every `settings.hop_seconds`, of the rows that could be read."""

    def __init__(
        self,
        cache: SoundCache,
        rows: Sequence[Row],
        keys: Sequence[str],
        skipped: Sequence[Skipped],
        *,
        length: int,
        hop: int,
        labels: Sequence[Label],
    ) -> None:
        """Use `windows`."""
        self.rows = tuple(rows)
        self.keys = tuple(keys)
        self.skipped = tuple(skipped)
        self.length = length
        """Samples of a window."""
        self.hop = hop
        self._cache = cache
        index = {label.scientific_name: label.index for label in labels}
        self.row_targets = np.zeros((len(rows), len(labels)), dtype=np.float32)
        for number, row in enumerate(rows):
            for name in row.labels:
                self.row_targets[number, index[to_label(0, name).scientific_name]] = 1.0
        spans = [self._spans(number) for number in range(len(rows))]
        self.spans: NDArray[np.int64] = np.concatenate(spans) if spans else np.zeros((0, 3), dtype=np.int64)
        """Of each window its row, and in that row's sound its first sample and where the row ends."""

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def of_row(self) -> NDArray[np.int64]:
        """The row of each window, (windows,)."""
        rows: NDArray[np.int64] = self.spans[:, 0]
        return rows

    @property
    def targets(self) -> NDArray[np.float32]:
        """What is to be heard, 0 or 1, (windows, labels)."""
        targets: NDArray[np.float32] = self.row_targets[self.of_row]
        return targets

    def read(self, index: int, shift: int = 0) -> NDArray[np.float32]:
        """Window `index`, float32 (length,), begun `shift` samples later; zeros where its row has no more sound.

        A window is not moved off its row: a row that is longer than a window stays full, a shorter one stays whole.
        """
        window = np.zeros(self.length, dtype=np.float32)
        self._read_into(window, index, shift)
        return window

    def read_all(
        self,
        indices: NDArray[np.int64],
        shifts: NDArray[np.int64],
        speeds: NDArray[np.float64] | None = None,
    ) -> Tensor:
        """As `read`, many at once: float32 (n, length). What is played at another speed is longer or shorter before."""
        read = np.zeros((len(indices), self.length), dtype=np.float32)
        if speeds is None:
            for window, index, shift in zip(read, indices.tolist(), shifts.tolist(), strict=True):
                self._read_into(window, index, shift)
            return torch.from_numpy(read)
        for window, index, shift, speed in zip(
            read, indices.tolist(), shifts.tolist(), speeds.tolist(), strict=True
        ):
            played = np.zeros(max(2, round(self.length * speed)), dtype=np.float32)
            self._read_into(played, index, shift)
            # A line between samples is no resampler, but what it spoils lies where microphones differ most.
            window[:] = np.interp(
                np.linspace(0, len(played) - 1, self.length), np.arange(len(played)), played
            )
        return torch.from_numpy(read)

    def _read_into(self, window: NDArray[np.float32], index: int, shift: int) -> None:
        row, start, end = self.spans[index].tolist()
        first = self._first(row)
        length = len(window)
        if end - first >= length:
            start = min(max(start + shift, first), end - length)
            self._cache.read_into(window, self.keys[row], start)
        else:
            offset = min(max(-shift, 0), length - (end - first))
            self._cache.read_into(window[offset : offset + end - first], self.keys[row], first)

    def _first(self, row: int) -> int:
        return round(self.rows[row].start * self._cache.sample_rate)

    def _spans(self, row: int) -> NDArray[np.int64]:
        """Every hop from the row's start, (windows, 3), and one that ends where the row does."""
        length = self._cache.length(self.keys[row])
        first = min(self._first(row), length)
        end = self.rows[row].end
        stop = length if end is None else min(round(end * self._cache.sample_rate), length)
        # A last window that would bring less than a quarter of a hop of new sound is not worth its while.
        count = max(1, 1 + -(-(stop - first - self.length - self.hop // 4) // self.hop))
        spans = np.empty((count, 3), dtype=np.int64)
        spans[:] = row, 0, stop
        spans[:, 1] = first + self.hop * np.arange(count)
        # The end of a row is better taken whole, overlapping the window before, than padded.
        spans[:, 1] = np.minimum(spans[:, 1], max(first, stop - self.length))
        spans = np.unique(spans, axis=0)
        if not self.rows[row].labels:
            return spans
        # Clips of public data sets are padded with digital silence: that is not what the label says.
        loud = [self._peak(row, int(start), stop) >= SILENT for _, start, stop in spans]
        return spans[loud] if any(loud) else spans[:1]

    def _peak(self, row: int, start: int, stop: int) -> float:
        samples = self._cache.read(self.keys[row], start, min(start + self.length, stop))
        return float(np.abs(samples).max(initial=0.0))


def windows(
    rows: Sequence[Row],
    settings: Settings,
    labels: Sequence[Label],
    *,
    folder: Path | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Windows:
    """The windows of `rows`, decoded into the cache in `folder` where they are not there yet.

    A row whose sound cannot be read is left out, and named in `.skipped`. `advance` is called after each row.

    Raises:
        UserError: nothing of it can be read, or the cache cannot be written.
    """
    cache = SoundCache(folder or cache_folder(), settings.sample_rate)

    def key(row: Row) -> str | Skipped:
        try:
            key = cache.add(row.path)
        except RecordingError as error:
            return Skipped(row, str(error))
        finally:
            advance()
        if row.start * settings.sample_rate >= cache.length(key):
            return Skipped(row, f"{row.path} ends before the stretch at {row.start:g} s: mend the manifest")
        return key

    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "decode") as pool:
        found = list(pool.map(key, rows))
    usable = [(row, key) for row, key in zip(rows, found, strict=True) if isinstance(key, str)]
    skipped = [fault for fault in found if isinstance(fault, Skipped)]
    if rows and not usable:
        raise UserError(f"none of the {len(rows)} recordings can be read; the first: {skipped[0].reason}")
    return Windows(
        cache,
        [row for row, _ in usable],
        [key for _, key in usable],
        skipped,
        length=settings.input_samples,
        hop=round(settings.hop_seconds * settings.sample_rate),
        labels=labels,
    )
