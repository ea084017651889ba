"""Traces: every candidate, and the gate that stopped it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from birdwatchd.domain import Candidate, Label
from birdwatchd.store.cells import from_text, to_real, to_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta

    from birdwatchd.domain import Detection
    from birdwatchd.store.database import Database

Row = tuple[str, str, str, str, str, int, str, int, float, float, str, str]


def to_row(candidate: Candidate) -> Row:
    """The row of a candidate, in plain types: scores may come as numpy's."""
    return (
        to_text(candidate.start),
        candidate.source,
        candidate.label.scientific_name,
        candidate.label.common_name,
        candidate.label.code,
        int(candidate.label.index),
        candidate.site,
        int(candidate.start_sample),
        to_real(candidate.score),
        to_real(candidate.threshold),
        candidate.gate,
        candidate.reason,
    )


def write(connection: sqlite3.Connection, rows: Iterable[Row], now: datetime) -> None:
    """Write traces; of two with the same source, start and species the later one stays. Inside a transaction."""
    written = to_text(now)
    connection.executemany(
        "INSERT OR REPLACE INTO traces (written_utc, start_utc, source, scientific_name, common_name, species_code,"
        " label_index, site, start_sample, score, threshold, gate, reason)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((written, *row) for row in rows),
    )


def prune(connection: sqlite3.Connection, before: datetime, *, at_most: int) -> int:
    """Delete traces that were written before that time, `at_most` so many of the first. Inside a transaction.

    Returns:
        How many were deleted.
    """
    return connection.execute(
        "DELETE FROM traces WHERE rowid IN (SELECT rowid FROM traces ORDER BY rowid LIMIT ?) AND written_utc < ?",
        (at_most, to_text(before)),
    ).rowcount


def between(
    database: Database, start: datetime, end: datetime, sources: Sequence[str] = ()
) -> list[Candidate]:
    """The candidates whose windows began between the two times, oldest first, best first within a window.

    Of those sources only, or of all when there are none.
    """
    condition = f" AND source IN ({', '.join('?' * len(sources))})" if sources else ""
    rows = database.rows(
        f"SELECT * FROM traces WHERE start_utc BETWEEN ? AND ?{condition} ORDER BY start_utc, source, score DESC",  # noqa: S608 - question marks
        (to_text(start), to_text(end), *sources),
    )
    # A busy hour has a hundred thousand, of a few moments and labels.
    moment, label = cache(from_text), cache(Label)
    return [
        Candidate(
            source=row["source"],
            site=row["site"],
            start=moment(row["start_utc"]),
            start_sample=row["start_sample"],
            label=label(row["label_index"], row["scientific_name"], row["common_name"], row["species_code"]),
            score=row["score"],
            threshold=row["threshold"],
            gate=row["gate"],
            reason=row["reason"],
        )
        for row in rows
    ]


def of(database: Database, detection: Detection, around: timedelta) -> list[Candidate]:
    """The candidates of a detection's species in its source, from so long before it until so long after, oldest first."""
    return [
        one
        for one in between(database, detection.start - around, detection.end + around, (detection.source,))
        if one.label.scientific_name == detection.label.scientific_name
    ]


def oldest(database: Database) -> datetime | None:
    """The time of the oldest trace that is kept; None when there is none."""
    for row in database.rows("SELECT start_utc FROM traces ORDER BY start_utc LIMIT 1"):
        return from_text(row["start_utc"])
    return None
