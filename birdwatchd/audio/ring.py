"""The ring: the last minute or so of one source, in memory, at the source's own rate."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.domain import Gap
from birdwatchd.errors import Lapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOST = "lost"
"""The cause of a gap that nobody said a word of: samples were missing."""


class Ring:
    """One writer, any number of readers, samples named by their absolute index.

    The writer (PortAudio's callback, among others) takes no lock: it announces how far it is going to write, copies,
    and announces that it has. A reader copies and then checks that the announcement had not reached its samples.
    """

    def __init__(self, capacity: int, sample_rate: int, first: int = 0) -> None:
        """Make a ring that holds `capacity` samples of `sample_rate` Hz; the one that comes first is called `first`."""
        self.sample_rate = sample_rate
        self._samples = np.zeros(capacity, dtype=np.float32)
        self._writing = first  # one past the last sample that may be changing
        self._written = first  # one past the last sample that is whole
        self._first = first  # no sample below it is there
        self._grown: tuple[NDArray[np.float32], int, int] | None = (
            None  # a larger one, filled from where to where
        )
        self._gaps: list[Gap] = []
        self.belated_seconds = 0.0
        """Of all sound that was marked as lost on the way: what came after all, much later. The writer adds to it."""
        self._released = first
        self._room = threading.Condition()
        self._closed = False

    @property
    def capacity(self) -> int:
        """How many samples it holds."""
        return len(self._samples)

    @property
    def first(self) -> int:
        """No sample below it was ever here, however empty the ring is."""
        return self._first

    @property
    def written(self) -> int:
        """One past the newest sample."""
        return self._written

    @property
    def oldest(self) -> int:
        """The oldest sample that can still be read."""
        return max(self._first, self._writing - self.capacity)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Every gap that a sample still in the ring touches, oldest first."""
        oldest = self.oldest
        return tuple(gap for gap in tuple(self._gaps) if gap.index >= oldest)

    def write(self, block: NDArray[np.float32]) -> None:
        """Append `block`, float32 (n,), n at most `capacity`. Never waits."""
        if self._grown is not None:
            self._move(*self._grown)
        stop = self._written + len(block)
        self._writing = stop
        _put(self._samples, self._written, block)
        self._written = stop

    def grow(self, capacity: int) -> None:
        """Hold `capacity` samples from the next block on, and go on with those that are there. Less than now is ignored.

        From any one thread. The long copy is made here; the writer only adds what came meanwhile.
        """
        if capacity <= self.capacity:
            return
        samples = np.zeros(capacity, dtype=np.float32)
        start = self.oldest
        while True:
            stop = self._written
            try:
                _put(samples, start, self.read(start, stop))
                break
            except Lapped:
                # The writer goes on meanwhile: so much of the oldest sound is left to it.
                start = self.oldest + self.sample_rate // 4
        self._grown = samples, start, stop
        with self._room:
            self._room.notify_all()

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
        samples = (
            self._samples
        )  # looked up once: it may grow, and what is left behind is not written any more
        if start < self.oldest:
            raise Lapped(f"sample {start} was overwritten; the oldest is {self.oldest}")
        copy = np.empty(stop - start, dtype=np.float32)
        at = start % len(samples)
        first = min(len(copy), len(samples) - at)
        copy[:first] = samples[at : at + first]
        copy[first:] = samples[: len(copy) - first]
        if self._writing - start > len(samples):
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
            self._room.wait_for(lambda: self._closed or stop - self._released <= self._room_for)
            if self._closed:
                return False
        self.write(block)
        return True

    def close(self) -> None:
        """Let a writer that waits go: nobody will read on."""
        with self._room:
            self._closed = True
            self._room.notify_all()

    @property
    def _room_for(self) -> int:
        return self.capacity if self._grown is None else len(self._grown[0])

    def _move(self, samples: NDArray[np.float32], first: int, filled: int) -> None:
        """The writer's side of `grow`: a moment's work, as only a few blocks came since."""
        if self._written > filled:
            _put(samples, filled, self.read(filled, self._written))
        # In this order: a reader in between is told that it was lapped, at worst.
        self._first, self._samples, self._grown = first, samples, None


def _put(samples: NDArray[np.float32], index: int, block: NDArray[np.float32]) -> None:
    at = index % len(samples)
    first = min(len(block), len(samples) - at)
    samples[at : at + first] = block[:first]
    samples[: len(block) - first] = block[first:]
