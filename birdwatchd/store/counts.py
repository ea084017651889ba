"""The counts by day and hour in the station's own time: triggers (triggers.py) keep them, and a change of zone makes them anew."""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import structlog

from birdwatchd.store.cells import to_text
from birdwatchd.store.detections import species
from birdwatchd.store.reviews import COUNTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

    from birdwatchd.store.database import Database

logger = structlog.get_logger()

_COUNTED_BY = "counted by"
"""The name, in `memory`, of what the counts were made with."""
_FIRST, _LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC)
"""Recordings may be old. Before and after that the first and the last offset hold."""
_LOOK = timedelta(days=7)
"""No zone has had two changes in less for a century."""
_SECOND = timedelta(seconds=1)

_LOCAL = (
    "SELECT scientific_name, source, coalesce(datetime(substr(start_utc, 1, 19), (SELECT seconds FROM zone_offsets"  # noqa: S608 - constants
    " WHERE since_utc <= start_utc ORDER BY since_utc DESC LIMIT 1) || ' seconds'), start_utc) AS local"
    f" FROM detections INDEXED BY detections_by_species WHERE scientific_name = ? AND {COUNTS}"
)
_COUNT = (
    "DELETE FROM heard_days WHERE scientific_name = ?",
    "DELETE FROM heard_hours WHERE scientific_name = ?",
    f"INSERT INTO heard_days SELECT substr(local, 1, 10), scientific_name, source, count(*) FROM ({_LOCAL}) GROUP BY 1, 3",  # noqa: S608 - constants
    f"INSERT INTO heard_hours SELECT scientific_name, substr(local, 1, 7), CAST(substr(local, 12, 2) AS INTEGER), source, count(*) FROM ({_LOCAL}) GROUP BY 2, 3, 4",  # noqa: S608 - as above
)


@lru_cache(maxsize=8)
def offsets(zone: tzinfo) -> tuple[tuple[str, int], ...]:
    """From when on (UTC, as `cells` writes it; empty for ever) how many seconds are added to UTC in that zone."""
    return tuple((to_text(since) if since > _FIRST else "", _offset(since, zone)) for since in _changes(zone))


def is_counted(database: Database, zone: tzinfo) -> bool:
    """Whether the counts are those of that zone, and complete.

    Raises:
        StoreError: the database cannot be read.
    """
    rows = database.rows("SELECT value FROM memory WHERE name = ?", (_COUNTED_BY,))
    return bool(rows) and rows[0]["value"] == _digest(offsets(zone))


def is_complete(database: Database) -> bool:
    """Whether the counts are complete, whichever zone's days they are of.

    Raises:
        StoreError: the database cannot be read.
    """
    return bool(database.rows("SELECT 1 FROM memory WHERE name = ?", (_COUNTED_BY,)))


def count(database: Database, zone: tzinfo, *, goes_on: Callable[[], bool] = lambda: True) -> bool:
    """Count all days anew if they were counted for another zone, or not at all; whether that was done.

    A species at a time: the pipeline has its turn in between. What is interrupted, or ends because nothing `goes_on`, is
    begun again.

    Raises:
        StoreError: the database cannot be read.
        sqlite3.Error: it cannot be written.
    """
    if is_counted(database, zone):
        return False
    rows = offsets(zone)
    with database.transaction() as connection:
        connection.execute("DELETE FROM memory WHERE name = ?", (_COUNTED_BY,))
        for table in ("zone_offsets", "heard_days", "heard_hours"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - the above
        connection.executemany("INSERT INTO zone_offsets VALUES (?, ?)", rows)
    # From here on the triggers count what is new; so only what was there before has to be counted.
    labels = species(database)
    for label in labels:
        if not goes_on():
            return False
        with database.transaction() as connection:
            for statement in _COUNT:
                connection.execute(statement, (label.scientific_name,))
    with database.transaction() as connection:
        is_done = connection.execute(
            # Not of a database that was begun anew meanwhile.
            "INSERT OR REPLACE INTO memory (name, value) SELECT ?, ? WHERE (SELECT count(*) FROM zone_offsets) = ?",
            (_COUNTED_BY, _digest(rows), len(rows)),
        ).rowcount
    if is_done and labels:
        logger.info("days counted", zone=str(zone), species=len(labels))
    return bool(is_done)


class Counting:
    """Sees to the counts: after a start, a reload, and when a database was begun anew. For one thread; `close` for any."""

    def __init__(self, database: Database, zone: Callable[[], tzinfo]) -> None:
        """On the file of `database`, the recorder's. `zone` is the station's at the moment."""
        self._database = database.second()
        self._zone = zone
        self._at_work = threading.Lock()
        self._is_closed = False

    def turn(self) -> None:
        """Count, if that has to be.

        Raises:
            StoreError: the database cannot be read.
            sqlite3.Error: it cannot be written.
        """
        with self._at_work:
            if not self._is_closed:
                count(self._database, self._zone(), goes_on=lambda: not self._is_closed)

    def close(self) -> None:
        """Close the connection, after the species that is being counted."""
        self._is_closed = True
        with self._at_work:
            self._database.close()


def _changes(zone: tzinfo) -> Iterator[datetime]:
    yield _FIRST
    before, old = _FIRST, _offset(_FIRST, zone)
    while before < _LAST:
        after = before + _LOOK
        if (new := _offset(after, zone)) != old:
            yield _between(before, after, zone)
        before, old = after, new


def _between(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The second in which the offset changes."""
    old = _offset(before, zone)
    while after - before > _SECOND:
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if _offset(middle, zone) == old:
            before = middle
        else:
            after = middle
    return after


def _offset(moment: datetime, zone: tzinfo) -> int:
    offset = moment.astimezone(zone).utcoffset()
    return round(offset.total_seconds()) if offset is not None else 0


def _digest(rows: tuple[tuple[str, int], ...]) -> str:
    return hashlib.blake2b(repr(rows).encode(), digest_size=10).hexdigest()
