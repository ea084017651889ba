"""One writer for one database: an advisory lock on a file beside it. Readers take no notice of it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from birdwatchd.errors import StoreError


class WriterLock:
    """Held from the making of it until `release()`, or the death of the process."""

    def __init__(self, database: Path) -> None:
        """Take the lock of `database`, on the file `<database>.lock`, which holds the owner's pid and stays there.

        Raises:
            StoreError: another process has it, or the file cannot be made.
        """
        path = database.with_name(database.name + ".lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise StoreError(
                f"{path} cannot be made ({error.strerror}); check that you may write to the folder of the database, "
                "or name another file (store.database in the config)"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._file, 20, 0).decode(errors="replace").strip()
            os.close(self._file)
            if not isinstance(error, BlockingIOError):
                raise StoreError(f"{path} cannot be locked ({error.strerror}); use a local disk") from error
            raise StoreError(
                f"another birdwatchd{f' (process {owner})' if owner else ''} is writing to {database}; "
                "stop it first, or give this one a database of its own (store.database in the config)"
            ) from None
        self._sign()

    def release(self) -> None:
        """Let another process write."""
        os.close(self._file)

    def _sign(self) -> None:
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            # A full disk: the lock holds all the same, only the pid is missing from another's message.
            return


def owner(database: Path) -> int | None:
    """The process that has the lock of `database`, 0 when it is not known which; None when nobody has it. Takes nothing."""
    try:
        file = database.with_name(database.name + ".lock").stat()
        locks = Path("/proc/locks").read_text()
    except OSError:
        return None
    for line in locks.splitlines():
        # `1: FLOCK ADVISORY WRITE 4711 fd:01:1234 0 EOF`; waiting ones have an arrow.
        match line.split():
            case [_, "FLOCK", _, "WRITE", pid, place, *_] if place.endswith(f":{file.st_ino}"):
                return int(pid) if pid.isdecimal() else 0
    return None
