"""Errands: what other threads ask of a loop, done by the loop's own thread between two of its turns."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class Ended(Exception):  # noqa: N818 - it says what the loop is
    """The loop does not turn any more: nothing will be done."""


class Errands:
    """A queue with answers."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """`wake` makes the loop turn."""
        self._wake = wake
        self._asked: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._lock = threading.Lock()
        self._ended = False

    def ask(self, errand: Callable[[], Result]) -> Result:
        """Have it done, and wait for what it returns or raises. From any thread but the loop's.

        Raises:
            Ended: it was not done.
        """
        answer: Future[Result] = Future()
        with self._lock:
            if self._ended:
                raise Ended
            self._asked.append((answer, errand))
        self._wake()
        return answer.result()

    def run(self) -> None:
        """Do what was asked. By the loop."""
        while self._asked:
            answer, errand = self._asked.popleft()
            try:
                answer.set_result(errand())
            except Exception as error:  # noqa: BLE001 - whoever asked raises it
                answer.set_exception(error)

    def end(self) -> None:
        """The loop is over: nobody waits any more."""
        with self._lock:
            self._ended = True
        while self._asked:
            self._asked.popleft()[0].set_exception(Ended())
