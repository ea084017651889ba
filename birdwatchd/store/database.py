"""The SQLite file: found or made, brought up to date, opened for one writer or for any number of readers."""

from __future__ import annotations

import sqlite3
import stat
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import structlog

from birdwatchd.errors import StoreError
from birdwatchd.store.faults import BUSY_SECONDS, sentence
from birdwatchd.store.lock import WriterLock
from birdwatchd.store.schema import APPLICATION_ID, STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

logger = structlog.get_logger()

_LOG_BYTES = 4 * 1024 * 1024
_OLDEST_SQLITE = (3, 37)  # STRICT tables


class Database:
    """An open database. One writer at a time in all processes; readers never hinder it.

    The connection may be used from any thread, from one at a time: the recorder sees to that.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: WriterLock | None,
        turn: threading.Lock | None = None,
    ) -> None:
        """Use `open`."""
        self.path = path
        self._connection = connection
        self._lock = lock
        # SQLite itself would have one of two writers look again every few milliseconds.
        self._turn = turn or threading.Lock()

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Database:
        """Open the database at `path`; for writing, make it where there is none and bring it up to date.

        Raises:
            StoreError: it cannot be used; the message says why and what to do.
        """
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise StoreError(
                f"SQLite 3.37 or newer is needed, this Python comes with {sqlite3.sqlite_version}; use another Python"
            )
        exists = _is_file(path)
        if read_only and not exists:
            raise StoreError(f"there is no database at {path} yet; `birdwatchd run` makes it when it starts")
        return cls._open_reader(path) if read_only else cls._open_writer(path.resolve())

    @classmethod
    def _open_writer(cls, path: Path) -> Database:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the folder {path.parent} for the database cannot be made ({error.strerror}); "
                "make it, or name another file (store.database in the config)"
            ) from error
        lock = WriterLock(path)
        try:
            connection = _connect(path, "mode=rwc")
            try:
                _prepare(connection, path)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            lock.release()
            raise StoreError(sentence(error, path)) from error
        except BaseException:
            lock.release()
            raise
        return cls(path, connection, lock)

    @classmethod
    def _open_reader(cls, path: Path) -> Database:
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
        return cls(path, connection, None)

    @classmethod
    def open_beside(cls, path: Path) -> Database:
        """Open the database for one short writing, also while the daemon has it.

        Raises:
            StoreError: there is none, or it cannot be used.
        """
        with cls.open(path, read_only=True):
            pass  # it is there, it is ours, and of this format
        try:
            return cls(path, _connect(path, "mode=rw"), None)
        except sqlite3.Error as error:
            raise StoreError(sentence(error, path)) from error

    def second(self) -> Database:
        """Another connection to the same file, for another thread; the two take turns at writing.

        What is committed on it survives the death of the process, and perhaps not a power cut: until the next commit of
        the first connection it may be undone as a whole.

        Raises:
            StoreError: it cannot be opened.
        """
        try:
            connection = _connect(self.path, "mode=rw")
            connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as error:
            raise StoreError(sentence(error, self.path)) from error
        return Database(self.path, connection, None, self._turn)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a second time does nothing."""
        self._connection.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of what is written inside, or nothing of it. It is on the disk when the block is left.

        Raises:
            sqlite3.Error: nothing was written.
        """
        with self._turn, _transaction(self._connection):
            yield self._connection

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """What a query finds, all at once.

        Raises:
            StoreError: the database cannot be read.
        """
        return list(self.each(sql, parameters))

    def each(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[sqlite3.Row]:
        """What a query finds, row by row. Do not linger: until the last one the writer's log only grows.

        Raises:
            StoreError: the database cannot be read.
        """
        try:
            yield from self._connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise StoreError(sentence(error, self.path)) from error


def _is_file(path: Path) -> bool:
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


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # transactions begin where the code says so
        check_same_thread=False,
    )
    connection.row_factory = sqlite3.Row
    return connection


def _read(path: Path, mode: str) -> tuple[sqlite3.Connection, int]:
    connection = _connect(path, mode)
    try:
        return connection, _version(connection, path)
    except BaseException:
        connection.close()
        raise


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The format of the file, 0 for an empty one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and tables:
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


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection, path)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        logger.warning(
            "database without write-ahead log: readers and the daemon wait for each other", mode=mode
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    for number, step in enumerate(STEPS[version:], start=version + 1):
        with _transaction(connection):
            for statement in step:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
    if 0 < version < len(STEPS):
        logger.info("database brought up to date", path=str(path), format=len(STEPS))
