"""What the setting of the clock changes in the database: dates that it shows to be wrong are put right."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from birdwatchd.errors import StoreError
from birdwatchd.store import detections
from birdwatchd.store.cells import from_text, to_text
from birdwatchd.store.faults import sentence
from birdwatchd.trust import EARLIEST, PROBATION, STEP_SECONDS, STRADDLING_SECONDS, ClockStep, Trust

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from birdwatchd.domain import Detection
    from birdwatchd.store.database import Database
    from birdwatchd.trust import ClockChange

logger = structlog.get_logger()


def dated(detection: Detection, changes: Iterable[ClockChange]) -> Detection:
    """A detection as it has to be after these changes of the clock, in their order."""
    for change in changes:
        if change.source != detection.source:
            continue
        if change.is_wrong(detection.start_sample, detection.start):
            start = change.put_right(detection.start_sample, detection.start)
            end = change.put_right(detection.end_sample, detection.end)
            detection = replace(detection, start=start, end=max(start, end), dating="corrected")
        elif change.is_repeated(detection.start_sample, detection.start):
            detection = replace(detection, dating="repeated")
    return detection


def note(connection: sqlite3.Connection, run_id: str, change: ClockChange) -> None:
    """Write down that the clock was set. Inside a transaction."""
    step = change.step
    connection.execute(
        "UPDATE runs SET boot_offset = ? WHERE run_id = ? AND boot <> ''",
        (step.offset + step.seconds, run_id),
    )
    connection.execute(
        "INSERT INTO clock_steps (run_id, source, sample, before_utc, seconds, corrected_from)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (run_id, change.source, step.index, to_text(step.before), step.seconds, change.wrong_from),
    )


def correct(connection: sqlite3.Connection, run_id: str, change: ClockChange, traces_after: int) -> int:
    """Put right what the run has written; how many detections that were. Inside a transaction.

    `traces_after` is the place in their table behind which the traces are the run's.
    """
    if change.wrong_from is None:
        return 0
    beyond = change.step.index + round(STRADDLING_SECONDS * change.sample_rate)
    rows = connection.execute(
        "SELECT * FROM detections INDEXED BY detections_by_source"
        " WHERE source = ? AND run_id = ? AND start_sample >= ? AND start_sample < ?",
        (change.source, run_id, change.wrong_from, beyond),
    ).fetchall()
    before = [detections.from_row(row) for row in rows]
    after = [dated(one, [change]) for one in before]
    changed = [one for one, other in zip(after, before, strict=True) if one is not other]
    for one in changed:
        _rewrite(connection, one)
    _correct_traces(connection, change, beyond, traces_after)
    return len(changed)


def correct_runs(
    connection: sqlite3.Connection, boot: str, offset: float, seconds: float, but: str = ""
) -> int:
    """Put right what other runs of the same boot have written on the same clock; how many detections that were.

    `offset` is that of the clock that was wrong, `seconds` by how much, `but` a run that sees to its own. A run that began
    more than a day before the last is believed, as in `Trust`, unless its clock was not set at all. Inside a transaction.
    """
    count = 0
    found = connection.execute(
        "SELECT run_id, started_utc, seen_utc, ended_utc FROM runs"
        " WHERE boot = ? AND boot <> '' AND run_id <> ? AND abs(boot_offset - ?) < ?",
        (boot, but, offset, STEP_SECONDS),
    ).fetchall()
    by = timedelta(seconds=seconds)
    newest = max((from_text(seen) for _, _, seen, _ in found), default=EARLIEST)
    for run_id, *moments in found:
        if EARLIEST <= from_text(moments[0]) < newest - PROBATION:
            continue
        rows = connection.execute(
            # What was believed when the clock was set in that run stays.
            "SELECT * FROM detections AS one WHERE run_id = ? AND start_sample >= coalesce((SELECT max(sample)"
            " FROM clock_steps AS step WHERE step.run_id = one.run_id AND step.source = one.source"
            " AND corrected_from IS NULL), 0)",
            (run_id,),
        ).fetchall()
        for old in map(detections.from_row, rows):
            _rewrite(connection, replace(old, start=old.start + by, end=old.end + by, dating="corrected"))
        count += len(rows)
        started, seen, ended = (None if one is None else to_text(from_text(one) + by) for one in moments)
        connection.execute(
            "UPDATE runs SET started_utc = ?, seen_utc = ?, ended_utc = ?, boot_offset = boot_offset + ?"
            " WHERE run_id = ?",
            (started, seen, ended, seconds, run_id),
        )
    return count


def take_up(database: Database, boot: str, offset: float, now: datetime) -> None:
    """Before a run: the clock may have been set since the last one of this boot, while nobody looked.

    Raises:
        StoreError: it cannot be read or written; nothing was.
    """
    last = database.rows(
        "SELECT boot_offset, started_utc FROM runs WHERE boot = ? AND boot <> '' ORDER BY rowid DESC LIMIT 1",
        (boot,),
    )
    if not last or last[0]["boot_offset"] is None:
        return
    seconds = offset - last[0]["boot_offset"]
    before = now - timedelta(seconds=seconds)
    age = (before - from_text(last[0]["started_utc"])).total_seconds()
    if abs(seconds) <= STEP_SECONDS or Trust().wrong_from([ClockStep(0, before, seconds, age)]) is None:
        return
    try:
        with database.transaction() as connection:
            count = correct_runs(connection, boot, last[0]["boot_offset"], seconds)
            move_deliveries(connection, before, seconds)
            renew_deliveries(connection, now)
    except sqlite3.Error as error:
        raise StoreError(sentence(error, database.path)) from error
    logger.warning(
        "the clock was set while the daemon was off: runs since the boot are dated anew",
        seconds=round(seconds, 3),
        detections=count,
    )


def _rewrite(connection: sqlite3.Connection, one: Detection) -> None:
    connection.execute(
        "UPDATE detections SET start_utc = ?, end_utc = ?, dating = ? WHERE id = ?",
        (to_text(one.start), to_text(one.end), one.dating, one.id),
    )
    _correct_waiting(connection, one)


def _correct_waiting(connection: sqlite3.Connection, detection: Detection) -> None:
    """What has not been told yet is told with the right times."""
    for number, written in connection.execute(
        "SELECT number, detection FROM deliveries WHERE detection_id = ? AND status = 'waiting'",
        (detection.id,),
    ).fetchall():
        fields = json.loads(written) | {
            "start_utc": to_text(detection.start),
            "end_utc": to_text(detection.end),
            "dating": detection.dating,
        }
        connection.execute(
            "UPDATE deliveries SET detection = ? WHERE number = ?",
            (json.dumps(fields, ensure_ascii=False), number),
        )


def _correct_traces(connection: sqlite3.Connection, change: ClockChange, beyond: int, after: int) -> None:
    rows = connection.execute(
        "SELECT rowid, start_sample, start_utc FROM traces WHERE rowid > ? AND source = ?"
        " AND start_sample >= ? AND start_sample < ?",
        (after, change.source, change.wrong_from, beyond),
    ).fetchall()
    # Of two with the same time, source and species the later one stays, as ever.
    connection.executemany(
        "UPDATE OR REPLACE traces SET start_utc = ? WHERE rowid = ?",
        [
            (to_text(change.put_right(sample, from_text(start))), place)
            for place, sample, start in rows
            if change.is_wrong(sample, from_text(start))
        ],
    )


def move_deliveries(connection: sqlite3.Connection, before: datetime, seconds: float) -> None:
    """Let what waits be as old as it was, and due when it was, on a clock that was set. Inside a transaction.

    `before` is what the old clock said: what was made later than that was made on a better one.
    """
    moved = ", ".join(
        f"{column} = strftime('%Y-%m-%dT%H:%M:%f000Z', julianday({column}) + :days)"
        for column in ("created_utc", "next_utc", "expires_utc")
    )
    connection.execute(
        f"UPDATE deliveries SET {moved} WHERE status = 'waiting' AND created_utc <= :before",  # noqa: S608 - the above
        {"days": timedelta(seconds=seconds) / timedelta(days=1), "before": to_text(before)},
    )


def renew_deliveries(connection: sqlite3.Connection, now: datetime) -> None:
    """What was made before the clock was ever set gets its whole time from now on. Inside a transaction."""
    if now < EARLIEST:
        return
    connection.execute(
        "UPDATE deliveries SET expires_utc = strftime('%Y-%m-%dT%H:%M:%f000Z',"
        " julianday(:now) + julianday(expires_utc) - julianday(created_utc)), created_utc = :now, next_utc = :now"
        " WHERE status = 'waiting' AND created_utc < :earliest",
        {"now": to_text(now), "earliest": to_text(EARLIEST)},
    )
