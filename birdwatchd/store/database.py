"""The SQLite file: found or made, opened for one writer or for any number of readers, and replaced when it is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from birdwatchd.errors import DamagedError, FullError, StoreError
from birdwatchd.store import opening
from birdwatchd.store.faults import damage_of, is_damage, is_full, sentence
from birdwatchd.store.lock import WriterLock
from birdwatchd.store.renewal import (
    LISTENING_SECONDS,
    STARTING_SECONDS,
    begin_anew,
    identity,
    read_the_rest,
    set_aside,
)
from birdwatchd.store.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from birdwatchd.store.backup import Backups
    from birdwatchd.store.rest import Rest

_OLDEST_SQLITE = (3, 37)  # STRICT tables
_PATIENCE_SECONDS = 0.1


class _Sharing:
    """What the connections of one process to one file share."""

    def __init__(self) -> None:
        # SQLite itself would have one of two writers look again every few milliseconds.
        self.turn = Turn()
        self.others: list[Database] = []
        self.damage = ""


class Database:
    """An open database. One writer at a time in all processes; readers never hinder it.

    The connection may be used from any thread, and closed: each has its turn.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: WriterLock | None,
        sharing: _Sharing | None = None,
        backups: Backups | None = None,
    ) -> None:
        """Use `open`, or `open_or_renew`."""
        self.path = path
        self._connection = connection
        self._lock = lock
        self._sharing = sharing or _Sharing()
        self._is_reading = self._is_writing = False
        self._backups = backups
        self._identity = identity(path)
        self._rest: Rest | None = None
        """What is to be read of the damaged one, while no new one could be begun."""

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Database:
        """Open the database at `path`; for writing, make it where there is none and bring it up to date.

        Raises:
            StoreError: it cannot be used; the message says why and what to do.
        """
        _refuse_old_sqlite()
        exists = opening.is_file(path)
        if read_only and not exists:
            raise StoreError(f"there is no database at {path} yet; `birdwatchd run` makes it when it starts")
        if read_only:
            return cls(path, opening.open_for_reading(path), None)
        path = path.resolve()
        lock = _lock(path)
        try:
            return cls(path, opening.open_for_writing(path), lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open_or_renew(
        cls,
        path: Path,
        backups: Backups | None = None,
        *,
        give_way: Callable[[], object] | None = None,
    ) -> Database:
        """Open it for a daemon that has to listen: look through it, and go on without it if it is damaged.

        It is moved aside then, and a new one begun, with what can be read of the damaged one and of the newest of
        `backups`. All of that is in the log. On a full disk `give_way` is called, and it is tried once more.

        Raises:
            StoreError: it cannot be used for another reason, such as a full disk.
        """
        _refuse_old_sqlite()
        opening.is_file(path)
        path = path.resolve()
        lock = _lock(path)
        try:
            with _as_a_sentence(path):
                try:
                    connection = _open_or_renew(path, backups)
                except FullError:
                    if give_way is None:
                        raise
                    give_way()
                    connection = _open_or_renew(path, backups)
            return cls(path, connection, lock, backups=backups)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open_beside(cls, path: Path) -> Database:
        """Open the database for one short writing, also while the daemon has it.

        Raises:
            StoreError: there is none, or it cannot be used.
        """
        with cls.open(path, read_only=True):
            pass  # it is there, it is ours, and of this format
        try:
            return cls(path, opening.connect(path, "mode=rw"), None)
        except sqlite3.Error as error:
            raise StoreError(sentence(error, path)) from error

    def second(self) -> Database:
        """Another connection to the same file, for another thread; the two take turns.

        What is committed on it survives the death of the process, and perhaps not a power cut: until the next commit of
        the first connection it may be undone as a whole.

        Raises:
            StoreError: it cannot be opened.
        """
        with self._sharing.turn:
            second = Database(self.path, self._connect_second(), None, self._sharing)
            self._sharing.others.append(second)
            return second

    def _connect_second(self) -> sqlite3.Connection:
        try:
            connection = opening.connect(self.path, "mode=rw")
            connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as error:
            raise StoreError(sentence(error, self.path)) from error
        return connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a second time does nothing. A query of another thread is cut short, what it writes is written."""
        # Never while somebody is at work on it: it would take the interpreter with it.
        while not self._sharing.turn.acquire(timeout=_PATIENCE_SECONDS):
            if self._is_reading:
                with suppress(sqlite3.ProgrammingError):  # it is closed already
                    self._connection.interrupt()
        try:
            if self in self._sharing.others:
                self._sharing.others.remove(self)
            self._connection.close()
            if self._lock is not None:
                self._lock.release()
                self._lock = None
        finally:
            self._sharing.turn.release()

    @property
    def damage(self) -> str:
        """What is wrong with the file, in a sentence: found by any of its connections. Empty when all is well."""
        if self._sharing.damage:
            return self._sharing.damage
        try:
            return self._taken_away()
        except StoreError as error:
            return str(error)

    def _taken_away(self) -> str:
        """In a sentence, whether another file, or none, is in its place.

        Raises:
            StoreError: nobody can tell now.
        """
        if identity(self.path) == self._identity:
            return ""
        return f"the database {self.path} was taken away or replaced while it was in use"

    @property
    def file(self) -> tuple[int, int] | None:
        """Which file it is: another one after `renew`."""
        return self._identity

    def suspect(self, damage: str, file: tuple[int, int] | None = None) -> None:
        """Say that the file is damaged, or was, if it is still that one; whoever records replaces it. From any thread."""
        with self._sharing.turn:
            if file in (None, self._identity):
                self._sharing.damage = self._sharing.damage or damage

    def renew(self) -> None:
        """Move the damaged file aside and begin a new one, as `open_or_renew` does. All connections go on with it.

        Raises:
            StoreError: it cannot be done now.
        """
        with self._sharing.turn:
            with _as_a_sentence(self.path):
                if self._rest is None:
                    # Looked at once: a disk that comes back between two looks has nothing moved aside.
                    taken_away = self._taken_away()
                    if not (damage := self._sharing.damage or taken_away):
                        raise StoreError(f"the database {self.path} could not be reached for a moment")
                    self._rest = self._let_go(damage, taken_away=bool(taken_away))
                    self._sharing.damage = damage
                self._connection = begin_anew(self.path, self._rest, seconds=LISTENING_SECONDS)
            for other in self._sharing.others:
                other._connection = other._connect_second()  # noqa: SLF001 - it is one of us
            self._identity = identity(self.path)
            self._rest = None
            self._sharing.damage = ""

    def _let_go(self, damage: str, *, taken_away: bool) -> Rest:
        """Close all connections and move the file aside. One that was put in its place by somebody else stays."""
        if taken_away:
            with suppress(sqlite3.Error):  # what is in the log belongs to the file that was taken
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # First it gets its other name: of a file that was renamed SQLite deletes no log, and folds none in.
        rest = set_aside(self.path, damage, self._backups, only_companions=taken_away)
        for one in (self, *self._sharing.others):
            one._connection.close()  # noqa: SLF001 - it is one of us
        return rest

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of what is written inside, or nothing of it. It is on the disk when the block is left.

        Raises:
            sqlite3.Error: nothing was written.
        """
        with self._sharing.turn:
            self._is_writing = True
            try:
                with opening.transaction(self._connection):
                    yield self._connection
            except sqlite3.Error as error:
                self._note(error)
                raise
            finally:
                self._is_writing = False

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """What a query finds, all at once.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._sharing.turn:  # the file must be neither replaced nor closed meanwhile
            self._is_reading = not self._is_writing
            try:
                return list(self.each(sql, parameters))
            finally:
                self._is_reading = False

    def each(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[sqlite3.Row]:
        """What a query finds, row by row, for the one thread that has this database and closes it.

        Do not linger: until the last one the writer's log only grows.

        Raises:
            StoreError: the database cannot be read.
        """
        try:
            yield from self._connection.execute(sql, parameters)
        except sqlite3.Error as error:
            self._note(error)
            raise StoreError(sentence(error, self.path)) from error

    def _note(self, error: sqlite3.Error) -> None:
        if is_damage(error):
            self.suspect(damage_of(error, self.path))


def _refuse_old_sqlite() -> None:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreError(
            f"SQLite 3.37 or newer is needed, this Python comes with {sqlite3.sqlite_version}; use another Python"
        )


def _lock(path: Path) -> WriterLock:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder {path.parent} for the database cannot be made ({error.strerror}); "
            "make it, or name another file (store.database in the config)"
        ) from error
    return WriterLock(path)


@contextmanager
def _as_a_sentence(path: Path) -> Iterator[None]:
    """What the disk says to the moving of files, as it would say it to SQLite."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be begun anew ({error.strerror}); check the disk or card"
        ) from error


def _open_or_renew(path: Path, backups: Backups | None) -> sqlite3.Connection:
    try:
        if backups is not None and backups.newest() and path.exists() and not path.stat().st_size:
            raise DamagedError(f"the database {path} is empty, and was not")  # noqa: TRY301 - as any other damage
        # Looked at by ourselves first: of what is no database SQLite throws away the log.
        opening.refuse_another_kind(path)
        connection = opening.open_for_writing(path, check=True)
    except DamagedError as error:
        return begin_anew(path, set_aside(path, str(error), backups), seconds=STARTING_SECONDS)
    try:
        read_the_rest(path, connection, backups)
    except sqlite3.Error as error:
        connection.close()
        raise (FullError if is_full(error) else StoreError)(sentence(error, path)) from error
    return connection
