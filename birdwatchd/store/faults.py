"""What SQLite's errors mean, in a sentence for the user."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BUSY_SECONDS = 5.0
"""How long a statement waits for another program to end its writing."""


def is_passing(error: sqlite3.Error) -> bool:
    """Whether the disk, the card or another program is to blame, so that the same writing may succeed later.

    Anything else (a broken constraint, a wrong statement) is a mistake of ours.
    """
    mistakes = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)
    return not isinstance(error, mistakes) and _code(error) not in (None, sqlite3.SQLITE_ERROR)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is not what was written: nothing makes that pass but another file."""
    # Text that is no text any more is found out by Python, not by SQLite.
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(error)


def is_full(error: sqlite3.Error) -> bool:
    """Whether there is no room on the disk."""
    return _code(error) == sqlite3.SQLITE_FULL


def damage_of(error: sqlite3.Error, path: Path) -> str:
    """What is wrong with a file for which `is_damage` holds."""
    if _code(error) == sqlite3.SQLITE_NOTADB:
        return f"{path} is not a birdwatchd database (not even SQLite)"
    return f"the database {path} is damaged ({error})"


def sentence(error: sqlite3.Error, path: Path) -> str:
    """What is wrong with the database at `path`, and what to do."""
    match _code(error):
        case sqlite3.SQLITE_NOTADB:
            return (
                f"{path} is not a birdwatchd database (not even SQLite); move it away or name another file "
                "(store.database in the config)"
            )
        case sqlite3.SQLITE_CORRUPT:
            return (
                f"the database {path} is damaged; `birdwatchd run` moves it aside when it starts, and begins a new one "
                "with what can be read of it"
            )
        case sqlite3.SQLITE_FULL:
            return f"the disk that holds {path} is full; free some space"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return (
                f"{path} cannot be written, it or its disk is read-only; "
                "give birdwatchd the right to write, or name another file (store.database in the config)"
            )
        case sqlite3.SQLITE_CANTOPEN:
            return (
                f"the database {path} cannot be opened; check that you may read and write it and its folder"
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return (
                f"another program has been writing to {path} for more than {BUSY_SECONDS:.0f} seconds; "
                "close it and try again"
            )
        case sqlite3.SQLITE_INTERRUPT:
            return f"the database {path} was closed while it was read"
        case sqlite3.SQLITE_IOERR:
            return f"the disk that holds {path} does not work ({error}); check the disk or card and its file system"
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return f"the database {path} is closed already"
    return f"the database {path} cannot be used ({error}); move it away to begin anew"


def _code(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; None when Python's own part of the module raised it."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
