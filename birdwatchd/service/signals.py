"""SIGTERM and Ctrl-C end the daemon in order, a second Ctrl-C ends it at once; SIGHUP has it read its config again."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Stopped(Exception):  # noqa: N818 - it says what the process is
    """The process was asked to end before everything ran."""


class Asked:
    """What signals asked for. The main thread looks at it now and then.

    Nothing but attributes: an Event has a lock, which may be held by the very code that a signal interrupts.
    """

    def __init__(self) -> None:
        self.stop = False
        self.reload = False

    def look(self) -> None:
        """Between two steps of a start.

        Raises:
            Stopped: the process is to end.
        """
        if self.stop:
            raise Stopped

    def goes_on(self, seconds: float) -> bool:
        """Wait so long; False once the process is to end."""
        if not self.stop:
            time.sleep(seconds)
        return not self.stop


@contextmanager
def obeying_signals() -> Iterator[Asked]:
    """Note what the process is asked for. Only in the main thread."""
    on_terminal = sys.stderr.isatty()
    asked = Asked()

    def to_end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        asked.stop = True

    def hung_up(number: int, frame: FrameType | None) -> None:
        # The kernel says SIGHUP too when a terminal is closed. It is none any more then.
        if on_terminal and not os.isatty(2):
            to_end(number, frame)
        else:
            asked.reload = True

    answers = {signal.SIGTERM: to_end, signal.SIGINT: to_end, signal.SIGHUP: hung_up}
    before = {number: signal.signal(number, answer) for number, answer in answers.items()}
    try:
        yield asked
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
