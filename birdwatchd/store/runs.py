"""Runs of the daemon: when it was there at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from birdwatchd.store.cells import from_text, to_text

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from birdwatchd.store.database import Database


SEASON, SEASONED_HOURS = timedelta(days=30), 24
"""So many hours among the last thirty days, and a clock is one that things may be called old by."""
HOURS_KEPT = 1000

_BEGIN = (
    "INSERT INTO runs (run_id, started_utc, seen_utc, ended_utc, version, model, node, config_hash, boot, boot_offset)"
    " VALUES (?, ?, ?, NULL, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class Run:
    """One life of the daemon. `ended` is None while it lives, and for ever when it died."""

    run_id: str
    started: datetime
    seen: datetime
    """The last time it wrote, at most half a minute before it died."""
    ended: datetime | None
    version: str
    model: str
    node: str
    config_hash: str
    boot: str = ""
    """Of the machine."""
    boot_offset: float | None = None
    """The system clock, less the seconds since the boot, as they were known last."""


def begin(connection: sqlite3.Connection, run: Run) -> None:
    """Write down that `run` has begun. Inside a transaction."""
    connection.execute(_BEGIN, _row(run))


def resume(connection: sqlite3.Connection, run: Run) -> None:
    """The same in a new database, which may have heard of it already. Inside a transaction."""
    connection.execute(f"{_BEGIN} ON CONFLICT DO UPDATE SET started_utc = excluded.started_utc", _row(run))


def seen(connection: sqlite3.Connection, run_id: str, now: datetime) -> None:
    """Write down that the run is alive. Inside a transaction."""
    connection.execute("UPDATE runs SET seen_utc = ? WHERE run_id = ?", (to_text(now), run_id))
    hour = to_text(now.replace(minute=0, second=0, microsecond=0))
    if connection.execute("INSERT OR IGNORE INTO hours (hour_utc) VALUES (?)", (hour,)).rowcount:
        connection.execute(
            "DELETE FROM hours WHERE rowid <= (SELECT max(rowid) FROM hours) - ?", (HOURS_KEPT,)
        )


def is_seasoned(database: Database, now: datetime) -> bool:
    """Was the daemon there for so long, by this clock, that what is old by it may be deleted?

    A clock that jumped a year ahead has no hours behind it: nothing is old because of that.
    """
    since, until = (to_text(moment) for moment in (now - SEASON, now + timedelta(hours=1)))
    ((hours,),) = database.rows(
        "SELECT count(*) FROM hours WHERE hour_utc >= ? AND hour_utc <= ?", (since, until)
    )
    return int(hours) >= SEASONED_HOURS


def move(connection: sqlite3.Connection, run_id: str, began: datetime) -> None:
    """The run began at that time after all: its clock was wrong. Inside a transaction."""
    connection.execute("UPDATE runs SET started_utc = ? WHERE run_id = ?", (to_text(began), run_id))


def last_seen(database: Database) -> datetime | None:
    """When the run that began last, in the order of their writing, was there for the last time."""
    for row in database.rows("SELECT seen_utc FROM runs ORDER BY rowid DESC LIMIT 1"):
        return from_text(row["seen_utc"])
    return None


def end(connection: sqlite3.Connection, run_id: str, now: datetime) -> None:
    """Write down that the run has ended in good order. Inside a transaction."""
    connection.execute(
        "UPDATE runs SET seen_utc = :now, ended_utc = :now WHERE run_id = :run_id",
        {"now": to_text(now), "run_id": run_id},
    )


def before(database: Database, moment: datetime) -> Run | None:
    """The last run that began at `moment` or before."""
    return _first(database, "WHERE started_utc <= ? ORDER BY started_utc DESC LIMIT 1", moment)


def after(database: Database, moment: datetime) -> Run | None:
    """The first run that began after `moment`."""
    return _first(database, "WHERE started_utc > ? ORDER BY started_utc LIMIT 1", moment)


def _first(database: Database, condition: str, moment: datetime) -> Run | None:
    for row in database.rows(f"SELECT * FROM runs {condition}", (to_text(moment),)):  # noqa: S608 - the two above
        return Run(
            run_id=row["run_id"],
            started=from_text(row["started_utc"]),
            seen=from_text(row["seen_utc"]),
            ended=None if row["ended_utc"] is None else from_text(row["ended_utc"]),
            version=row["version"],
            model=row["model"],
            node=row["node"],
            config_hash=row["config_hash"],
            boot=row["boot"],
            boot_offset=row["boot_offset"],
        )
    return None


def _row(run: Run) -> tuple[str | float | None, ...]:
    started, seen = to_text(run.started), to_text(run.seen)
    boot = run.boot, run.boot_offset
    return (run.run_id, started, seen, run.version, run.model, run.node, run.config_hash, *boot)
