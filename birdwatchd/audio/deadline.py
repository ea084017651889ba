"""Calls that may never return."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from birdwatchd.errors import DeviceStuck

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class Deadline:
    """Runs one call at a time, each on a thread of its own; one that is overdue is left behind, and said."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is the patience with each call, the wait for its turn included."""
        self.seconds = seconds
        self._turn = threading.Lock()
        self._overdue: Future[Any] | None = None

    @property
    def stuck(self) -> bool:
        """A call has not returned in time, and still has not."""
        return self._overdue is not None and not self._overdue.done()

    def call(self, work: Callable[[], Result]) -> Result:
        """What `work` returns or raises.

        Raises:
            DeviceStuck: it takes too long, or an earlier one does: then it is not even tried.
        """
        message = f"the sound system has not answered for {self.seconds:g} s"
        if self.stuck:
            raise DeviceStuck(message)
        outcome: Future[Result] = Future()

        def run() -> None:
            with self._turn:
                if not outcome.set_running_or_notify_cancel():
                    return
                try:
                    outcome.set_result(work())
                except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
                    outcome.set_exception(error)

        stderr = os.dup(2)
        try:
            threading.Thread(target=run, name="sound system call", daemon=True).start()
            return outcome.result(self.seconds)
        except TimeoutError:
            if not outcome.cancel():
                self._overdue = outcome
            # stderr is silenced while PortAudio starts, and a call that is stuck there never gives it back.
            os.dup2(stderr, 2)
            raise DeviceStuck(message) from None
        finally:
            os.close(stderr)
