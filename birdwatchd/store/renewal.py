"""Going on without a damaged database: it is moved aside, and a new one begun with what can be read of it."""

from __future__ import annotations

import errno
import sqlite3
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from birdwatchd.errors import FullError, StoreError
from birdwatchd.store.aside import find_place, let_go, move_aside
from birdwatchd.store.faults import is_passing
from birdwatchd.store.opening import open_for_writing
from birdwatchd.store.rest import Rest
from birdwatchd.store.salvage import salvage

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.store.backup import Backups

logger = structlog.get_logger()

STARTING_SECONDS = 120.0
"""So long is spent at most on reading what can be read of a damaged database, before anything listens."""
LISTENING_SECONDS = 8.0
"""The same while the daemon listens: sound waits in memory meanwhile, for 15 seconds."""


def set_aside(path: Path, damage: str, backups: Backups | None, *, only_companions: bool = False) -> Rest:
    """Rename what is damaged; what is to be read of it then, and of the newest backup.

    That is written down before: whoever is killed from here on goes on with it at the next start.

    Raises:
        FullError: there is no room for that.
        StoreError: it cannot be renamed.
    """
    place = find_place(path, datetime.now(UTC))
    unread = [rest.aside for rest in Rest.of(path, None)]
    try:
        for gone in let_go(path, unread):
            logger.warning("an older damaged database, which has been read, is deleted", path=str(gone))
        rest = Rest.begin(place, damage, _newest(backups), only_backup=only_companions)
        try:
            move_aside(path, place, only_companions=only_companions)
        except OSError:
            if not rest.is_there:
                rest.forget()
            raise
    except OSError as error:
        raise (FullError if error.errno == errno.ENOSPC else StoreError)(
            f"the database {path} is damaged and cannot be moved aside ({error.strerror}); move it away yourself"
        ) from error
    return rest


def begin_anew(path: Path, rest: Rest, *, seconds: float) -> sqlite3.Connection:
    """A connection to a new database in place of the one that was set aside, and a loud word about it.

    Raises:
        StoreError: there can be none.
    """
    connection = open_for_writing(path)
    with suppress(sqlite3.Error):  # that is in the log, and whoever writes next meets it again
        _take_over(rest, path, connection, time.monotonic() + seconds, keep_places=True)
    return connection


def read_the_rest(path: Path, connection: sqlite3.Connection, backups: Backups | None) -> None:
    """What an earlier run did not come to read of a damaged database, as it had no time or was killed.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    until = time.monotonic() + STARTING_SECONDS
    for rest in Rest.of(path, _newest(backups)):
        if rest.is_there:
            _take_over(rest, path, connection, until, keep_places=False)
        else:
            rest.forget()


def _take_over(
    rest: Rest, path: Path, connection: sqlite3.Connection, until: float, *, keep_places: bool
) -> None:
    """All that there is time for. One line in the log says how much.

    Raises:
        sqlite3.Error: it cannot be written, just now.
    """
    backup, copied, fault = rest.backup, Counter[str](), ""
    failed: sqlite3.Error | None = None
    while failed is None and rest.left and time.monotonic() < until:
        source, page = rest.next
        try:
            copied += salvage(
                source,
                connection,
                until=until,
                keep_places=keep_places and source == rest.aside,
                first=page,
                reach=rest.reach,
            )
        except OSError as error:
            fault += f"; {source.name} cannot be read ({error.strerror})"
            rest.reach(None)
        except sqlite3.Error as error:
            fault += f"; not all of it could be written ({error})"
            if is_passing(error):
                failed = error
            else:
                rest.reach(None)
    if rest.left:
        fault += "; not all of it was read, the rest is at the next start"
    taken_over = (", ".join(f"{rows} {table}" for table, rows in copied.items()) or "nothing") + fault
    if rest.reason:
        logger.error(
            "the database is damaged, a new one is begun",
            reason=rest.reason,
            moved_to=str(rest.aside) if rest.aside.exists() else "",
            backup=backup,
            taken_over=taken_over,
            database=str(path),
        )
        rest.settle()
    else:
        logger.warning("the rest of a damaged database was read", path=str(rest.aside), taken_over=taken_over)
    if failed is not None:
        raise failed


def _newest(backups: Backups | None) -> Path | None:
    return backups.newest() if backups is not None else None


def identity(path: Path) -> tuple[int, int] | None:
    """Which file it is that lies at `path`; None when there is none.

    Raises:
        StoreError: nobody can tell: its disk does not answer, or its folder is away.
    """
    try:
        try:
            found = path.stat()
        except FileNotFoundError:
            path.parent.stat()
            return None
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be reached ({error.strerror}); see whether its disk and its folder are there"
        ) from error
    return found.st_dev, found.st_ino
