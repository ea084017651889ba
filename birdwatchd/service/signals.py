"""SIGTERM and Ctrl-C end the daemon in order, a second Ctrl-C ends it at once; SIGHUP has it read its config again."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


@contextmanager
def obeying_signals(stop: Callable[[], None], reload: Callable[[], None]) -> Iterator[None]:
    """Call `stop` when the process is asked to end, `reload` at SIGHUP. Only in the main thread."""
    on_terminal = sys.stderr.isatty()

    def asked(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        stop()

    def hung_up(number: int, frame: FrameType | None) -> None:
        # The kernel says SIGHUP too when a terminal is closed. It is none any more then.
        if on_terminal and not os.isatty(2):
            asked(number, frame)
        else:
            reload()

    answers = {signal.SIGTERM: asked, signal.SIGINT: asked, signal.SIGHUP: hung_up}
    before = {number: signal.signal(number, answer) for number, answer in answers.items()}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
