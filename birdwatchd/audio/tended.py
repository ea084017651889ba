"""A source that goes away and comes back: what it says of itself, and the thread that tends it."""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from birdwatchd.audio.clock import SampleClock
    from birdwatchd.audio.ring import Ring


class Tended(ABC):
    """A microphone or a stream."""

    ring: Ring
    clock: SampleClock

    def __init__(self, name: str, site: str, *, fault: str = "", cause: str = "") -> None:
        """`fault` and `cause` are so until sound comes."""
        self.name = name
        self.site = site
        self._fault = fault
        self._cause = cause
        self._told: set[str] = set()  # what was said of it, since sound came last
        self._attempts = 0
        self._helpless_since = math.inf
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name=f"source {name}", daemon=True)

    @property
    def finished(self) -> bool:
        """Never: one that is away comes back."""
        return False

    @property
    def is_tended(self) -> bool:
        """Whether the thread that would bring it back is alive; also true of one that was stopped."""
        return self._thread.is_alive() or self._stopping.is_set()

    @property
    def fault(self) -> str:
        """What is wrong just now, without passwords; empty when samples arrive."""
        return self._fault

    @property
    def cause(self) -> str:
        """Why it hears nothing just now, in the ledger's words; empty when samples arrive."""
        return self._cause

    @property
    def helpless_seconds(self) -> float:
        """For how long the fault has been one that only a new process can mend; 0 when it is none."""
        return max(0.0, time.monotonic() - self._helpless_since)

    @abstractmethod
    def _supervise(self) -> None:
        """Listen, and bring it back, until `_stopping` is set: what its thread does."""

    def _stop_within(self, seconds: float) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)
