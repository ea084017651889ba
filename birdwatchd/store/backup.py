"""Copies of the database, made while it is in use."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import structlog

from birdwatchd.on_disk import sync
from birdwatchd.store.faults import is_damage, sentence
from birdwatchd.store.opening import connect
from birdwatchd.store.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from birdwatchd.config.schema import Store
    from birdwatchd.store.database import Database

logger = structlog.get_logger()

FOLDER = "backups"
"""Beside the database, where the config names none."""
SUFFIX, PART = ".sqlite", ".part"
DAY_SECONDS = 86400.0
MEGABYTE = 10**6
_STAMP = "%Y%m%dT%H%M%SZ"
_PAGES = 64
"""So many at once (256 kB), with a pause after them: whoever records must not wait for a card that is busy with this."""
_PAUSE_SECONDS = 0.02
_ROOM = 2
"""A copy is not begun unless the disk has so many times its size to spare: detections come first."""


def _now() -> datetime:
    return datetime.now(UTC)


class Backups:
    """The newest `keep` copies in a folder. From any thread, but one copy at a time. A context manager: it stops when left."""

    def __init__(
        self,
        folder: Path,
        *,
        keep: int,
        most_megabytes: float,
        wall: Callable[[], datetime] = _now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """A database of more than `most_megabytes` is not copied."""
        self._folder = folder
        self._keep = keep
        self._most = most_megabytes * MEGABYTE
        self._wall = wall
        self._monotonic = monotonic
        self._tried: float | None = None
        self._stopping = threading.Event()
        self._read: sqlite3.Connection | None = None
        """What is being looked through."""

    @classmethod
    def of(cls, store: Store) -> Backups:
        """As the config has it."""
        wanted = store.backup
        folder = wanted.folder or store.database.parent / FOLDER
        return cls(folder, keep=wanted.keep, most_megabytes=wanted.megabytes)

    def follow(self, other: Backups) -> None:
        """Do as `other` would, from the next copy on."""
        self._folder, self._keep, self._most = other._folder, other._keep, other._most

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave a copy that is being made."""
        self._stopping.set()
        read = self._read
        if read is not None:
            with suppress(sqlite3.ProgrammingError):  # it is closed already
                read.interrupt()

    def newest(self) -> Path | None:
        """The newest copy, by the time in its name."""
        return max(self._all(), key=lambda path: path.name, default=None)

    def make_daily(self, database: Database) -> None:
        """Make one if the newest is a day old. Meant to be called once an hour: many a station has no night of its own."""
        newest = self.newest()
        if self._tried is None and newest is not None:
            # By the clock only once: it may be wrong, and then there would be a copy an hour.
            age = self._wall() - _time_of(newest)
            self._tried = self._monotonic() - max(0.0, min(age.total_seconds(), DAY_SECONDS))
        if self._tried is None or self._monotonic() - self._tried >= DAY_SECONDS:
            self._tried = self._monotonic()
            self.make(database)

    def make(self, database: Database) -> Path | None:
        """Copy the database as it is now, look through the copy, and let older copies go. None, and a line in the log, when not.

        Where the copy is damaged and the database is, too, that is told so.
        """
        if not self._keep:
            return None
        path = database.path
        size = _size(path) + _size(path.with_name(path.name + "-wal"))
        if size > self._most:
            logger.warning(
                "no backup: the database is larger than store.backup.megabytes allows",
                megabytes=round(size / MEGABYTE),
            )
            return None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            if shutil.disk_usage(self._folder).free < _ROOM * size:
                logger.warning("no backup: the disk is nearly full", folder=str(self._folder), bytes=size)
                return None
            return self._make(database)
        except sqlite3.Error as error:
            if self._stopping.is_set():
                return None
            reason = sentence(error, path)
        except OSError as error:
            reason = error.strerror or str(error)
        logger.error("no backup", folder=str(self._folder), reason=reason)
        return None

    def _make(self, database: Database) -> Path | None:
        path, file, now = database.path, database.file, self._wall()
        place = self._folder / f"{path.stem}-{now:{_STAMP}}{SUFFIX}"
        part = place.with_name(f".{place.name}{PART}")
        try:
            with (
                closing(connect(path, "mode=ro")) as source,
                closing(sqlite3.connect(part, check_same_thread=False)) as copy,
            ):
                # One state of it: else every commit of the daemon would make the copying begin again.
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM sqlite_master").fetchone()
                source.backup(copy, pages=_PAGES, progress=self._breathe)
                copy.execute(
                    "PRAGMA journal_mode = DELETE"
                )  # one file, that can be read where nothing may be written
                reason = self._look_through(copy)
                damage = self._look_through(source) if reason else ""
            if damage:
                logger.error("no backup: the copy is damaged", reason=damage)
                database.suspect(f"the database {path} is damaged ({damage})", file)
            elif reason:
                logger.error(
                    "no backup: the copy is damaged, the database is well; the disk of the backups may be worn out",
                    folder=str(self._folder),
                    reason=reason,
                )
            if reason:
                return None
            sync(part)
            part.replace(place)
            sync(self._folder)
        except _Stopped:
            return None
        finally:
            self._read = None
            with suppress(OSError):
                part.unlink(missing_ok=True)
        self._let_go(place, {rest.backup for rest in Rest.of(path, None)})
        logger.info("backup made", path=str(place), bytes=_size(place))
        return place

    def _look_through(self, connection: sqlite3.Connection) -> str:
        """What contradicts itself there; empty when nothing does."""
        self._read = connection
        try:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
            found += [
                f"{row[0]}: row without its {row[2]}"
                for row in connection.execute("PRAGMA foreign_key_check")
            ]
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            return str(error)
        return "" if found == ["ok"] else "; ".join(" ".join(str(one).split()) for one in found[:3])

    def _breathe(self, _status: int, _left: int, _total: int) -> None:
        if self._stopping.wait(_PAUSE_SECONDS):
            raise _Stopped

    def _all(self) -> list[Path]:
        try:
            return [path for path in self._folder.iterdir() if path.suffix == SUFFIX and path.is_file()]
        except OSError:
            return []

    def _let_go(self, newest: Path, unread: Collection[str]) -> None:
        # The one just made stays in any case: a clock that went back would have it look like the oldest.
        others = sorted((path for path in self._all() if path != newest), key=lambda path: path.name)
        for path in others[: max(0, len(others) - self._keep + 1)]:
            if (
                str(path.absolute()) not in unread
            ):  # the next start takes from it what a damaged database has not
                path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """What a power cut left."""
        for part in self._folder.glob(f".*{PART}*"):
            part.unlink(missing_ok=True)


def _time_of(copy: Path) -> datetime:
    try:
        return datetime.strptime(copy.stem.rpartition("-")[2], _STAMP).replace(tzinfo=UTC)
    except ValueError:  # somebody named it
        return datetime.fromtimestamp(copy.stat().st_mtime, UTC)


class _Stopped(Exception):  # noqa: N818 - it is no error
    """The daemon ends."""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
