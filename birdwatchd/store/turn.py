"""A lock that comes round: whoever waits for it has it before the one who just let it go."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Turn:
    """A lock; its holder may take it again. Python's own is mostly taken anew by whoever let it go.

    So work in many small pieces would hold everybody up for as long as work in one.
    """

    def __init__(self) -> None:
        self._next = threading.Lock()
        """Of the one who comes next: it is held while waiting for the other."""
        self._lock = threading.Lock()
        self._holder: int | None = None
        self._depth = 0

    def acquire(self, timeout: float = -1) -> bool:
        """Wait for it, for about `timeout` seconds twice at most, or for as long as it takes; whether it is ours."""
        if self._holder == threading.get_ident():
            self._depth += 1
            return True
        if not self._next.acquire(timeout=timeout):
            return False
        try:
            if not self._lock.acquire(timeout=timeout):
                return False
        finally:
            self._next.release()
        self._holder, self._depth = threading.get_ident(), 1
        return True

    def release(self) -> None:
        """Let it go, once for each time that it was taken."""
        self._depth -= 1
        if not self._depth:
            self._holder = None
            self._lock.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
