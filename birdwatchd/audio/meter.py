"""How loud an input is just now."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.audio.portaudio import PortAudio, Tap
from birdwatchd.errors import DeviceError, DeviceStuck

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from birdwatchd.audio.inputs import Input

BLOCKS = 400
"""About 20 seconds, should nobody read."""


class Meter:
    """Listens to the first channel of an input. Use it as a context manager; an input that cannot be opened says why."""

    def __init__(self, owner: PortAudio, device: Input) -> None:
        """Not open yet."""
        self.device = device
        self.problem = ""
        """Why it cannot be opened."""
        self._owner = owner
        self._tap: Tap | None = None
        self._blocks: deque[tuple[int, float]] = deque(maxlen=BLOCKS)  # length, mean square without the mean

    def level_dbfs(self) -> float | None:
        """Root mean square since the last call, 0 dBFS being a full-scale square wave; None when nothing came."""
        blocks = [self._blocks.popleft() for _ in range(len(self._blocks))]
        total = sum(length for length, _ in blocks)
        if not total:
            return None
        square = sum(length * square for length, square in blocks) / total
        return 10 * math.log10(square) if square > 0 else -math.inf

    def __enter__(self) -> Self:
        try:
            choice = self._owner.choose(
                self.device.index, channel=1, sample_rate=None, preferred_rate=self.device.default_rate
            )
            self._tap = Tap(choice, self._take)
            self._owner.open(self._tap)
        except (DeviceError, DeviceStuck) as error:
            self._tap = None
            self.problem = str(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tap is not None:
            try:
                self._owner.close(self._tap)
            except DeviceStuck as stuck:
                self.problem = str(stuck)

    def _take(self, block: NDArray[np.float32]) -> None:
        self._blocks.append((len(block), float(np.var(block, dtype=np.float64))))
