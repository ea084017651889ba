"""The counts by day and hour in the station's own time: triggers (triggers.py) keep them, and a change of zone makes them anew."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import structlog

from birdwatchd.store.cells import to_text
from birdwatchd.store.detections import species
from birdwatchd.store.reviews import COUNTS

if TYPE_CHECKING:
    import sqlite3
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
_LAST_YEAR = 9999

_LOCAL = (
    "SELECT source, coalesce(datetime(substr(start_utc, 1, 19), (SELECT seconds FROM zone_offsets"  # noqa: S608 - constants
    " WHERE since_utc <= start_utc ORDER BY since_utc DESC LIMIT 1) || ' seconds'), start_utc) AS local"
    " FROM detections INDEXED BY detections_by_species"
    f" WHERE scientific_name = :name AND start_utc >= :since AND start_utc < :until AND {COUNTS}"
)
_COUNT = (
    f"SELECT substr(local, 1, 10), CAST(substr(local, 12, 2) AS INTEGER), source, count(*) FROM ({_LOCAL})"  # noqa: S608 - constants
    " WHERE substr(local, 1, 7) = :month GROUP BY 1, 2, 3"
)
_NEXT = (
    "SELECT start_utc FROM detections INDEXED BY detections_by_species WHERE scientific_name = :name AND start_utc >= :since"
    " AND start_utc GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-*' ORDER BY start_utc LIMIT 1"
)
_FORGET = (
    "DELETE FROM heard_days WHERE scientific_name = :name AND day >= :month AND day < :month || '~'",
    "DELETE FROM heard_hours WHERE scientific_name = :name AND month = :month",
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

    A month of a species at a time: the pipeline has its turn in between. What is interrupted, or ends because nothing
    `goes_on`, is begun again.

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
    # From here on the triggers count what is new; so only what was there before has to be counted. Until a month's turn has
    # come it may say too little, and never too much; from then on it is right, whatever is written.
    labels = species(database)
    for label in labels:
        month: int | None = None
        while True:
            if not goes_on():
                return False
            with database.transaction() as connection:
                month = _next_month(connection, label.scientific_name, month)
                if month is None:
                    break
                _count_month(connection, label.scientific_name, month)
    with database.transaction() as connection:
        is_done = connection.execute(
            # Not of a database that was begun anew meanwhile.
            "INSERT OR REPLACE INTO memory (name, value) SELECT ?, ? WHERE (SELECT count(*) FROM zone_offsets) = ?",
            (_COUNTED_BY, _digest(rows), len(rows)),
        ).rowcount
    if is_done and labels:
        logger.info("days counted", zone=str(zone), species=len(labels))
    return bool(is_done)


def _next_month(connection: sqlite3.Connection, name: str, after: int | None) -> int | None:
    """The next month of the station's that may hold detections of a species; in those in between there are none."""
    since = "" if after is None else _reach(after + 1)[0]
    found = connection.execute(_NEXT, {"name": name, "since": since}).fetchone()
    if found is None:
        return None
    # The month before may be that of its station.
    month = int(found[0][:4]) * 12 + int(found[0][5:7]) - 2
    return month if after is None else max(after + 1, month)


def _count_month(connection: sqlite3.Connection, name: str, month: int) -> None:
    since, until = _reach(month)
    asked = {"name": name, "month": _text(month), "since": since, "until": until}
    days, hours = Counter[tuple[str, str]](), Counter[tuple[int, str]]()
    for day, hour, source, number in connection.execute(_COUNT, asked):
        days[day, source] += number
        hours[hour, source] += number
    for statement in _FORGET:
        connection.execute(statement, asked)
    connection.executemany(
        "INSERT INTO heard_days VALUES (?, ?, ?, ?)",
        [(day, name, source, number) for (day, source), number in days.items()],
    )
    connection.executemany(
        "INSERT INTO heard_hours VALUES (?, ?, ?, ?, ?)",
        [(name, _text(month), hour, source, number) for (hour, source), number in hours.items()],
    )


def _text(month: int) -> str:
    """A month, counted from the year 0, as the tables name it; after the last that can be named comes what is behind all."""
    year, number = divmod(month, 12)
    return f"{year:04}-{number + 1:02}" if year <= _LAST_YEAR else "~"


def _reach(month: int) -> tuple[str, str]:
    """From when on, and before when (UTC), all of a month of the station's begins: no zone is a day away."""
    return f"{_text(month - 1)}-27", f"{_text(month + 1)}-03"


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
        """Close the connection, after the month that is being counted."""
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
