"""An input that delivers, and delivers nothing but digital silence: it may be muted, or its driver may hang."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from birdwatchd.errors import Lapped

if TYPE_CHECKING:
    from birdwatchd.audio.ring import Ring

MUTE = "digital silence"
"""The cause of the gap that opening it again makes."""
LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 600.0
"""No microphone is so still for so long; opening it again costs less than a second."""
LONGEST_PATIENCE_SECONDS = 4 * 3600.0
"""The patience doubles: where it is muted on purpose, opening again is of no use."""


class Mute:
    """Looks at what arrived last, now and then. For one thread."""

    def __init__(self, ring: Ring, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Nothing was looked at yet."""
        self._ring = ring
        self._shortest = self._patience = patience_seconds
        self._looked_at = float("-inf")
        self._since: float | None = None
        self._written = ring.written

    def look(self) -> bool:
        """True when it is time to open the input again. As often as one likes, while samples arrive."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = now
        if not self._is_still():
            self._since, self._patience = None, self._shortest
        elif self._since is None:
            self._since = now
        elif now - self._since > self._patience:
            self._since = None
            self._patience = min(2 * self._patience, LONGEST_PATIENCE_SECONDS)
            return True
        return False

    def _is_still(self) -> bool:
        """All that arrived since the last look is one value."""
        written = self._ring.written
        start = max(self._written, self._ring.oldest, written - self._ring.sample_rate)
        self._written = written
        try:
            samples = self._ring.read(start, written)
        except Lapped:
            return False
        return len(samples) > 0 and bool((samples == samples[0]).all())
