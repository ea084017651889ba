"""A terminal for standard error, so that bars are drawn, and what is on it."""

from __future__ import annotations

import os
import pty
import re
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Colours, and movements of the cursor."""


class Screen:
    """What was written to the terminal, without colours; whole only when the terminal is closed."""

    def __init__(self) -> None:
        self._bytes = b""

    def read(self, terminal: int) -> None:
        """Take all that comes until the other end is closed."""
        while True:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # as Linux tells that the other end is closed
                return
            if not piece:
                return
            self._bytes += piece

    @property
    def text(self) -> str:
        """All of it, what was drawn over too."""
        return _CONTROLS.sub("", self._bytes.decode())


@contextmanager
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """Standard error is a terminal of 120 columns, as rich asks for them."""
    screen = Screen()
    ours, theirs = pty.openpty()
    reader = threading.Thread(target=screen.read, args=(ours,))
    reader.start()
    try:
        with monkeypatch.context() as patched, os.fdopen(theirs, "w") as terminal:
            for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
                patched.delenv(name, raising=False)
            patched.setenv("TERM", "xterm")
            patched.setenv("COLUMNS", "120")
            patched.setattr(sys, "stderr", terminal)
            yield screen
    finally:
        reader.join()
        os.close(ours)
