"""The thread on which everything of one action is done, so that a call that never returns holds up nobody else."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class Overdue(Exception):  # noqa: N818 - it says what the call is
    """A call has not returned in time. It goes on; `late` has its outcome one day."""


class Hands:
    """Does one call at a time, always on the same thread. One that is overdue is left behind: then it is busy until it returns."""

    def __init__(self, name: str, on_free: Callable[[], None]) -> None:
        """`on_free` is called, on that thread, when an overdue call has returned after all."""
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._on_free = on_free
        self._overdue: Future[Any] | None = None
        # A daemon thread: one that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """An overdue call still goes on: nothing else can be asked for."""
        return self._overdue is not None and not self._overdue.done()

    def call(self, work: Callable[[], Result], seconds: float) -> Result:
        """What `work` returns or raises.

        Raises:
            Overdue: it takes longer.
        """
        if self.is_busy:
            raise Overdue("an earlier call has not returned yet")
        outcome: Future[Result] = Future()
        self._calls.put((outcome, work))
        wait([outcome], seconds)
        if not outcome.done():
            self._overdue = outcome
            outcome.add_done_callback(lambda _: self._on_free())
            raise Overdue(f"no answer within {seconds:g} s")
        return outcome.result()

    def late(self) -> Future[Any] | None:
        """The overdue call that has returned since; told once."""
        if self._overdue is None or not self._overdue.done():
            return None
        outcome, self._overdue = self._overdue, None
        return outcome

    def close(self) -> None:
        """Let the thread end, once it is free."""
        self._calls.put(None)

    def _work(self) -> None:
        while (asked := self._calls.get()) is not None:
            outcome, work = asked
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - whoever called raises it
                outcome.set_exception(error)
            else:
                outcome.set_result(result)
            del asked, outcome, work  # what a call held on to must not live until the next one
