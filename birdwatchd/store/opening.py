"""Opening an SQLite file as birdwatchd's: connections, formats, and the steps that bring an older one up to date."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from birdwatchd.errors import DamagedError, FullError, StoreError
from birdwatchd.store.faults import BUSY_SECONDS, damage_of, is_damage, is_full, sentence
from birdwatchd.store.schema import APPLICATION_ID, STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = structlog.get_logger()

MAGIC = b"SQLite format 3\0"
"""What every database begins with."""
_LOG_BYTES = 4 * 1024 * 1024
_OURS = {"runs", "detections", "ledger"}
"""Tables that a database of birdwatchd has had from the first."""


def is_file(path: Path) -> bool:
    """Whether there is a file at `path`.

    Raises:
        StoreError: there is a folder, or nobody can tell.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be reached ({error.strerror}); check who may enter its folder"
        ) from error
    if stat.S_ISDIR(mode):
        raise StoreError(f"{path} is a folder, not a database; name a file in it")
    return True


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection as all of ours are; `mode` as in SQLite's addresses."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # transactions begin where the code says so
        check_same_thread=False,
    )
    connection.row_factory = sqlite3.Row
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing.

    Raises:
        StoreError: it cannot be used.
    """
    try:
        try:
            connection, version = _read(path, "mode=ro")
        except sqlite3.OperationalError:
            # A reader, too, wants to make the log's files; in a folder where it may not, a database without a log
            # is one that nobody has open: it can be read as it lies.
            if path.with_name(path.name + "-wal").exists():
                raise
            connection, version = _read(path, "mode=ro&immutable=1")
    except sqlite3.Error as error:
        raise StoreError(sentence(error, path)) from error
    if version < len(STEPS):
        connection.close()
        raise StoreError(
            f"{path} has format {version}, this birdwatchd reads format {len(STEPS)}; "
            "`birdwatchd run` brings it up to date when it starts"
        )
    return connection


def open_for_writing(path: Path, *, check: bool = False) -> sqlite3.Connection:
    """A connection to a database that is there then, and up to date.

    With `check` all of it is looked through first, and something is written.

    Raises:
        DamagedError: it is not what was written.
        FullError: there is no room for it.
        StoreError: it cannot be used.
    """
    try:
        connection = connect(path, "mode=rwc")
        try:
            if check:
                _check(connection, path)
            _prepare(connection, path)
            if check:
                _write_something(connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        if is_damage(error):
            raise DamagedError(damage_of(error, path)) from error
        raise (FullError if is_full(error) else StoreError)(sentence(error, path)) from error
    return connection


def refuse_another_kind(path: Path) -> None:
    """Look at how the file begins, where there is one.

    Raises:
        DamagedError: not as a database does.
        StoreError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be read ({error.strerror}); check its disk or card"
        ) from error
    if head and head != MAGIC:
        raise DamagedError(f"{path} is not a birdwatchd database (not even SQLite)")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of what is written inside, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _read(path: Path, mode: str) -> tuple[sqlite3.Connection, int]:
    connection = connect(path, mode)
    try:
        return connection, _version(connection, path)
    except BaseException:
        connection.close()
        raise


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Every page, but not whether the indexes agree with the tables: that takes several times as long."""
    version = _version(connection, path)  # of a newer or another's nothing is said but that it is
    if version and not _tables(connection) >= _OURS:
        raise DamagedError(f"the database {path} is damaged (tables are missing)")
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise DamagedError(f"the database {path} is damaged ({' '.join(str(found).split())})")


def _write_something(connection: sqlite3.Connection) -> None:
    """An open file says nothing of room on its disk."""
    with transaction(connection):
        connection.execute(f"PRAGMA user_version = {len(STEPS)}")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The format of the file, 0 for an empty one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    tables = _tables(connection)
    if application != APPLICATION_ID and tables:
        if tables >= _OURS:
            raise DamagedError(f"the database {path} is damaged (its header does not say whose it is)")
        raise StoreError(
            f"{path} is a database of another program; move it away or name another file "
            "(store.database in the config)"
        )
    if version > len(STEPS):
        raise StoreError(
            f"{path} was written by a newer birdwatchd (format {version}, this one knows {len(STEPS)}); "
            "install that version again, or name another file (store.database in the config)"
        )
    return int(version)


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection, path)
    if version == 0:
        # Only a new file can be told so.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        logger.warning(
            "database without write-ahead log: readers and the daemon wait for each other", mode=mode
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    for number, step in enumerate(STEPS[version:], start=version + 1):
        with transaction(connection):
            for statement in step:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
    if 0 < version < len(STEPS):
        logger.info("database brought up to date", path=str(path), format=len(STEPS))
