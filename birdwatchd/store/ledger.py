"""The continuity ledger: seconds per source and hour, by what became of them."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from birdwatchd.domain import LedgerEntry
from birdwatchd.store.cells import from_text, to_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from datetime import tzinfo

    from birdwatchd.store.database import Database

_AFTER_ALL = "~"

Key = tuple[str, str, str, str]
"""Hour, source, kind, cause."""


def to_key(entry: LedgerEntry) -> Key:
    """What an entry's seconds are added up under."""
    return (to_text(entry.hour), entry.source, entry.kind, entry.cause)


def add(connection: sqlite3.Connection, seconds: Mapping[Key, float]) -> None:
    """Add seconds to what is there. Inside a transaction."""
    connection.executemany(
        "INSERT INTO ledger (hour_utc, source, kind, cause, seconds) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET seconds = seconds + excluded.seconds",
        [(*key, value) for key, value in seconds.items()],
    )
    # What was taken back, as far as a computer can subtract.
    connection.executemany(
        "DELETE FROM ledger WHERE hour_utc = ? AND source = ? AND kind = ? AND cause = ? AND seconds < 0.001",
        [key for key, value in seconds.items() if value < 0],
    )


def reach(connection: sqlite3.Connection, until: Mapping[str, datetime]) -> None:
    """Write down up to when each source's time is accounted for. Inside a transaction."""
    connection.executemany(
        "INSERT INTO accounted (source, until_utc) VALUES (?, ?)"
        " ON CONFLICT DO UPDATE SET until_utc = excluded.until_utc",
        [(source, to_text(moment)) for source, moment in until.items()],
    )


def standing(database: Database) -> dict[str, tuple[datetime, str]]:
    """Up to when each source's time is accounted for, and how the last run ended: `stopped` or `died`."""
    last = database.rows("SELECT ended_utc FROM runs ORDER BY rowid DESC LIMIT 1")
    end = "stopped" if last and last[0]["ended_utc"] is not None else "died"
    return {
        row["source"]: (from_text(row["until_utc"]), end) for row in database.rows("SELECT * FROM accounted")
    }


def between(
    database: Database, start: datetime | None = None, end: datetime | None = None
) -> list[LedgerEntry]:
    """The entries of the hours that begin at `start` or later and before `end`, oldest first."""
    rows = database.rows(
        "SELECT * FROM ledger WHERE hour_utc >= ? AND hour_utc < ? ORDER BY hour_utc, source, kind, cause",
        (to_text(start) if start else "", to_text(end) if end else _AFTER_ALL),
    )
    return [
        LedgerEntry(
            source=row["source"],
            hour=from_text(row["hour_utc"]),
            kind=row["kind"],
            cause=row["cause"],
            seconds=row["seconds"],
        )
        for row in rows
    ]


def heard_by_day(
    database: Database, start: datetime, end: datetime, zone: tzinfo, source: str | None = None
) -> dict[date, float]:
    """For how many seconds any source was heard on each day of the zone; of several at once, the one that was heard longest.

    Raises:
        StoreError: the database cannot be read.
    """
    rows = database.rows(
        "SELECT hour_utc, max(seconds) FROM ledger WHERE hour_utc >= ? AND hour_utc < ? AND kind = 'captured'"
        " AND (? IS NULL OR source = ?) GROUP BY hour_utc",
        (to_text(start), to_text(end), source, source),
    )
    days: dict[date, float] = defaultdict(float)
    day, until = date.min, ""
    for hour, seconds in rows:
        if hour >= until:  # the next day: it need not be looked up for each of its hours
            day = from_text(hour).astimezone(zone).date()
            until = to_text(datetime.combine(day + timedelta(days=1), time(), zone))
        days[day] += seconds
    return dict(days)


def roll_up(database: Database, before: datetime, zone: tzinfo) -> int:
    """Keep whole days instead of hours of the time before; how many rows that spares. Nothing of the sums changes.

    A day is the zone's; what is kept of it stands at its first hour that has an entry.

    Raises:
        sqlite3.Error: some days are as they were.
        StoreError: the database cannot be read.
    """
    spared = 0
    rows = database.rows(
        "SELECT DISTINCT hour_utc FROM ledger WHERE hour_utc < ? ORDER BY hour_utc", (to_text(before),)
    )
    days: dict[date, list[str]] = defaultdict(list)
    for (hour,) in rows:
        days[from_text(hour).astimezone(zone).date()].append(hour)
    # The day that `before` lies in is not over there.
    days.pop(before.astimezone(zone).date(), None)
    for hours in days.values():
        if len(hours) > 1:
            # A day at a time: the pipeline has its turn in between.
            with database.transaction() as connection:
                spared += _merge(connection, hours)
    return spared


def _merge(connection: sqlite3.Connection, hours: list[str]) -> int:
    first, last = hours[0], hours[-1]
    sums = connection.execute(
        "SELECT source, kind, cause, sum(seconds) FROM ledger WHERE hour_utc BETWEEN ? AND ? GROUP BY source, kind, cause",
        (first, last),
    ).fetchall()
    gone = connection.execute("DELETE FROM ledger WHERE hour_utc BETWEEN ? AND ?", (first, last)).rowcount
    connection.executemany(
        "INSERT INTO ledger (hour_utc, source, kind, cause, seconds) VALUES (?, ?, ?, ?, ?)",
        [(first, *row) for row in sums],
    )
    return gone - len(sums)


def newest_hour(database: Database, before: datetime | None = None) -> datetime | None:
    """The newest hour that has an entry, of those that begin before that time."""
    for row in database.rows(
        "SELECT hour_utc FROM ledger WHERE hour_utc < ? ORDER BY hour_utc DESC LIMIT 1",
        (to_text(before) if before else _AFTER_ALL,),
    ):
        return from_text(row["hour_utc"])
    return None
