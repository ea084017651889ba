"""The ring: the last minute or so of one source, in memory, at the source's own rate."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.domain import Gap
from birdwatchd.errors import Lapped

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Ring:
    """One writer, any number of readers, samples named by their absolute index.

    The writer (PortAudio's callback, among others) takes no lock: it announces how far it is going to write, copies,
    and announces that it has. A reader copies and then checks that the announcement had not reached its samples.
    """

    def __init__(self, capacity: int, sample_rate: int) -> None:
        """Make a ring that holds `capacity` samples of `sample_rate` Hz."""
        self.capacity = capacity
        self.sample_rate = sample_rate
        self._samples = np.zeros(capacity, dtype=np.float32)
        self._writing = 0  # one past the last sample that may be changing
        self._written = 0  # one past the last sample that is whole
        self._gaps: list[Gap] = []
        self._released = 0
        self._room = threading.Condition()
        self._closed = False

    @property
    def written(self) -> int:
        """One past the newest sample."""
        return self._written

    @property
    def oldest(self) -> int:
        """The oldest sample that can still be read."""
        return max(0, self._writing - self.capacity)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Every gap that a sample still in the ring touches, oldest first."""
        oldest = self.oldest
        return tuple(gap for gap in tuple(self._gaps) if gap.index >= oldest)

    def write(self, block: NDArray[np.float32]) -> None:
        """Append `block`, float32 (n,), n at most `capacity`. Never waits."""
        stop = self._written + len(block)
        self._writing = stop
        at = self._written % self.capacity
        first = min(len(block), self.capacity - at)
        self._samples[at : at + first] = block[:first]
        self._samples[: len(block) - first] = block[first:]
        self._written = stop

    def mark_gap(self, seconds: float, cause: str) -> None:
        """Record that `seconds` of sound are missing before the next sample. Called by the writer's side only."""
        oldest = self.oldest
        # A new list, not a change of the old one: a reader may be walking it.
        self._gaps = [gap for gap in self._gaps if gap.index >= oldest] + [Gap(self._written, seconds, cause)]

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """A copy of the samples `start` to `stop` (exclusive), float32 (stop - start,).

        Raises:
            Lapped: some of them were overwritten already.
            ValueError: some of them are not there yet.
        """
        if stop > self._written or start > stop or start < 0:
            raise ValueError(f"samples {start} to {stop} of a ring written up to {self._written}")
        if self._writing - start > self.capacity:
            raise Lapped(f"sample {start} was overwritten; the oldest is {self.oldest}")
        copy = np.empty(stop - start, dtype=np.float32)
        at = start % self.capacity
        first = min(len(copy), self.capacity - at)
        copy[:first] = self._samples[at : at + first]
        copy[first:] = self._samples[: len(copy) - first]
        if self._writing - start > self.capacity:
            raise Lapped(f"sample {start} was overwritten while it was read")
        return copy

    def release(self, index: int) -> None:
        """The pipeline's word that it will not read below `index` again: a writer that waits may go on."""
        with self._room:
            self._released = max(self._released, index)
            self._room.notify_all()

    def write_when_released(self, block: NDArray[np.float32]) -> bool:
        """Append `block`, waiting until that overwrites nothing the pipeline still needs. For recordings.

        Returns:
            False when the ring was closed meanwhile: nothing was written.
        """
        with self._room:
            stop = self._written + len(block)
            self._room.wait_for(lambda: self._closed or stop - self._released <= self.capacity)
            if self._closed:
                return False
        self.write(block)
        return True

    def close(self) -> None:
        """Let a writer that waits go: nobody will read on."""
        with self._room:
            self._closed = True
            self._room.notify_all()
