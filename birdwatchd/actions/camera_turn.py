"""One at a time: a lock that a camera's name stands for, for all actions and also for other processes."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOK_AGAIN_SECONDS = 0.05


class Busy(Exception):  # noqa: N818 - it says what it is
    """Somebody else has it all the time."""


class Turn:
    """While it is held."""

    def __init__(self, file: int) -> None:
        self._file = file

    def rested_seconds(self) -> float | None:
        """How long ago it was used; None when it never was, or when that cannot be told (a clock that went back)."""
        state = os.fstat(self._file)
        ago = time.time() - state.st_mtime
        return ago if state.st_size and ago >= 0 else None

    def used(self) -> None:
        """It was used now: the file's date says when."""
        os.pwrite(self._file, b"\n", 0)


@contextmanager
def turn_of(path: Path, until: float) -> Iterator[Turn]:
    """Wait for it, and hold it. `path` is the lock's file, `until` counts in monotonic time.

    Raises:
        Busy: it was not to be had by then.
        OSError: the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        while not _take(file):
            if time.monotonic() > until:
                raise Busy
            time.sleep(LOOK_AGAIN_SECONDS)
        yield Turn(file)
    finally:
        # Closing lets go.
        os.close(file)


def _take(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
