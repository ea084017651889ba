"""One open live page: what is to be sent to it, and no more of it than it takes."""

from __future__ import annotations

import asyncio
from collections import deque

SOUND = 24
"""Three seconds of columns may wait; who takes longer goes on with the newest."""
WORDS = 500
"""So many messages may wait, such as detections: hours of them."""


class Viewer:
    """Filled by the live picture, emptied by whoever sends it; both on one event loop. Nobody waits to fill it."""

    def __init__(self) -> None:
        """It looks at no source yet."""
        self.watched: tuple[str, ...] = ()
        """The sources that are on its screen."""
        self.dropped = 0
        """Messages it was too slow for."""
        self._words: deque[str] = deque()
        self._state = ""
        self._sound: deque[bytes] = deque()
        self._filled = asyncio.Event()

    def tell(self, words: str) -> None:
        """Send a message, in its order. When too many wait, the oldest is dropped."""
        if len(self._words) >= WORDS:
            self._words.popleft()
            self.dropped += 1
        self._words.append(words)
        self._filled.set()

    def describe(self, state: str) -> None:
        """Send how things are; what was not sent of how they were, is not sent any more."""
        self._state = state
        self._filled.set()

    def show(self, columns: bytes) -> None:
        """Send sound."""
        if len(self._sound) >= SOUND:
            self.dropped += len(self._sound)
            self._sound.clear()
        self._sound.append(columns)
        self._filled.set()

    async def next(self) -> str | bytes:
        """What is to be sent next, once there is something: detections before the rest."""
        while True:
            if self._words:
                return self._words.popleft()
            if self._state:
                state, self._state = self._state, ""
                return state
            if self._sound:
                return self._sound.popleft()
            self._filled.clear()
            await self._filled.wait()
