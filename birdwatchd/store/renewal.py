"""Going on without a damaged database: it is moved aside, and a new one begun with what can be read of it."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from birdwatchd.errors import StoreError
from birdwatchd.store.aside import move_aside
from birdwatchd.store.opening import open_for_writing
from birdwatchd.store.salvage import salvage

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.store.backup import Backups

logger = structlog.get_logger()

UNREAD = ".unread"
"""The end of a mark beside a damaged database of which not everything was read."""
STARTING_SECONDS = 120.0
"""So long is spent at most on reading what can be read of a damaged database, before anything listens."""
LISTENING_SECONDS = 8.0
"""The same while the daemon listens: sound waits in memory meanwhile, for 15 seconds."""


def set_aside(path: Path, *, only_companions: bool = False) -> Path:
    """Rename what is damaged; where it lies then.

    Raises:
        StoreError: it cannot be renamed.
    """
    try:
        return move_aside(path, datetime.now(UTC), only_companions=only_companions)
    except OSError as error:
        raise StoreError(
            f"the database {path} is damaged and cannot be moved aside ({error.strerror}); move it away yourself"
        ) from error


def begin_anew(
    path: Path, aside: Path, damage: str, backups: Backups | None, *, seconds: float
) -> sqlite3.Connection:
    """A connection to a new database in place of the one that lies `aside` now, and a loud word about it.

    Raises:
        StoreError: there can be none.
    """
    connection = open_for_writing(path)
    newest = backups.newest() if backups is not None else None
    until = time.monotonic() + seconds
    copied = dict[str, int]()
    fault = ""
    for source in (aside, newest):
        if source is not None and source.exists():
            try:
                found = salvage(source, connection, until=until, keep_places=source is aside)
            except OSError as error:
                fault += f"; {source.name} cannot be read ({error.strerror})"
                continue
            except sqlite3.Error as error:
                fault += f"; not all of it could be written ({error})"
                break
            copied = {table: copied.get(table, 0) + rows for table, rows in found.items()}
    if time.monotonic() >= until:
        aside.with_name(aside.name + UNREAD).touch()
        fault += f"; not all of it was read within {seconds:g} s, the rest is at the next start"
    logger.error(
        "the database is damaged, a new one is begun",
        reason=damage,
        moved_to=str(aside) if aside.exists() else "",
        backup=str(newest or ""),
        taken_over=(", ".join(f"{rows} {table}" for table, rows in copied.items() if rows) or "nothing")
        + fault,
        database=str(path),
    )
    return connection


def read_the_rest(path: Path, connection: sqlite3.Connection) -> None:
    """What an earlier run had no time to read of a damaged database; with what there is time for now.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    for mark in path.parent.glob(f"{path.name}.damaged-*{UNREAD}"):
        aside = mark.with_name(mark.name.removesuffix(UNREAD))
        until = time.monotonic() + STARTING_SECONDS
        try:
            copied = salvage(aside, connection, until=until, keep_places=False)
        except OSError as error:
            logger.warning("a damaged database cannot be read", path=str(aside), reason=error.strerror)
            copied = {}
        if time.monotonic() < until:
            mark.unlink(missing_ok=True)
        logger.warning(
            "the rest of a damaged database was read",
            path=str(aside),
            taken_over=", ".join(f"{rows} {table}" for table, rows in copied.items() if rows) or "nothing",
        )


def identity(path: Path) -> tuple[int, int] | None:
    """Which file it is that lies at `path`; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
