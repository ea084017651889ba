"""Where the blocks of a live source come in, and what was missing between them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from birdwatchd.audio.ring import LOST
from birdwatchd.trust import elapsed

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from birdwatchd.audio.clock import SampleClock
    from birdwatchd.audio.ring import Ring


class Intake:
    """The writing side of a ring that sound arrives at by itself.

    Two threads: one takes blocks (PortAudio's callback, or the reader of a pipe), the other follows and interrupts.
    They may be the same. Nothing here waits or locks.
    """

    def __init__(self, ring: Ring, clock: SampleClock, wake: Callable[[], None]) -> None:
        """`wake` is called by `follow` after samples arrived."""
        self._ring = ring
        self._clock = clock
        self._wake = wake
        self._cause = ""
        self._note: tuple[int, float] | None = None  # samples written, and when
        self._followed = 0
        self._slept = elapsed() - time.monotonic()

    def take(self, block: NDArray[np.float32]) -> None:
        """Write `block`, float32 (n,), that was captured just now. The first after an interruption marks the gap."""
        now = elapsed()
        if self._cause:
            seconds = self._clock.resume(self._ring.written, now - len(block) / self._ring.sample_rate)
            self._ring.mark_gap(seconds, self._cause)
            self._cause = ""
        self._ring.write(block)
        self._note = (self._ring.written, now)

    def interrupt(self, cause: str) -> None:
        """No block will come for a while: the next one follows a gap, which is put down to the last cause given."""
        self._cause = cause
        self._note = None

    def follow(self) -> bool:
        """Tell the clock what arrived, and mark what was lost on the way.

        Returns:
            True when samples arrived since the last call.
        """
        note = self._note
        if note is None or note[0] == self._followed:
            return False
        self._followed = note[0]
        missing = self._clock.observe(*note)
        if missing > 0:
            # The one clock goes on while the machine sleeps, the other stands still.
            slept, self._slept = self._slept, elapsed() - time.monotonic()
            asleep = self._slept - slept > missing / 2
            self._ring.mark_gap(missing, "machine asleep" if asleep else LOST)
        elif missing < 0:
            self._ring.belated_seconds -= missing
        self._wake()
        return True
