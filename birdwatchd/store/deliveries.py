"""Deliveries: made in the transaction that writes their detection, found again, and revived."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from birdwatchd import record
from birdwatchd.domain import Delivery, Tally
from birdwatchd.store import detections
from birdwatchd.store.cells import from_text, to_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from datetime import datetime, timedelta, tzinfo

    from birdwatchd.domain import DeliveryStatus, Detection
    from birdwatchd.store.database import Database

Kind = Literal["durable", "ephemeral", "bounded"]
"""As `birdwatchd.actions.Action.durability`."""

_PAGE = 1000

Notes = dict[str, str | float | bool]


@dataclass(frozen=True, slots=True)
class Order:
    """A delivery that is to be made of a detection."""

    action: str
    kind: Kind
    max_age: timedelta
    after_samples: int = 0
    """For a bounded one: so much sound has to follow the detection."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A delivery with everything that the outbox keeps of it."""

    number: int
    """Deliveries are numbered in the order of their making."""
    delivery: Delivery
    kind: Kind
    next: datetime
    """Not to be tried before."""
    expires: datetime
    ready_source: str
    ready_sample: int | None
    run_id: str
    notes: Notes
    settled: datetime | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt, or the lack of one, came to."""

    number: int
    status: DeliveryStatus
    attempts: int
    error: str = ""
    next: datetime | None = None
    """When it is tried again; for one that waits on."""
    notes: Notes = field(default_factory=dict)


def add(
    connection: sqlite3.Connection,
    detection: Detection,
    tally: Tally,
    orders: Iterable[Order],
    *,
    now: datetime,
) -> set[str]:
    """Make the deliveries of a detection; those that were made before stay as they are. Inside a transaction.

    Returns:
        The actions that have a new one.
    """
    written, told = _to_json(detection), json.dumps(asdict(tally))
    added = set()
    for order in orders:
        ended = detection.state == "ended"
        ready = int(detection.end_sample) + order.after_samples if ended else None
        made = connection.execute(
            "INSERT INTO deliveries (detection_id, state, action, kind, status, attempts, next_utc, created_utc,"
            " expires_utc, ready_source, ready_sample, after_samples, run_id, detection, tally, error, notes)"
            " VALUES (?, ?, ?, ?, 'waiting', 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '{}')"
            " ON CONFLICT (detection_id, state, action) DO NOTHING",
            (
                detection.id,
                detection.state,
                order.action,
                order.kind,
                to_text(now),
                to_text(now),
                to_text(now + order.max_age),
                detection.source,
                ready if order.kind == "bounded" else None,
                order.after_samples,
                detection.run_id,
                written,
                told,
            ),
        ).rowcount
        if made:
            added.add(order.action)
    return added


def end(connection: sqlite3.Connection, detection: Detection) -> set[str]:
    """Tell the bounded deliveries of a detection's start how it ended: they waited for that. Inside a transaction.

    Returns:
        The actions that may go on.
    """
    # What they carry is the whole detection then, as it was in no state but this: a clip is of all of it.
    whole = json.dumps({**json.loads(_to_json(detection)), "state": "started"}, ensure_ascii=False)
    rows = connection.execute(
        "UPDATE deliveries SET ready_sample = ? + after_samples, detection = ?"
        " WHERE detection_id = ? AND state = 'started' AND kind = 'bounded' AND status = 'waiting'"
        " AND ready_sample IS NULL RETURNING action",
        (int(detection.end_sample), whole, detection.id),
    )
    return {action for (action,) in rows}


def to_entry(row: sqlite3.Row) -> Entry:
    """The entry of a row."""
    return Entry(
        number=row["number"],
        delivery=Delivery(
            action=row["action"],
            # One that was written before detections had a dating.
            detection=detections.from_row({"dating": "", **json.loads(row["detection"])}),
            tally=Tally(**json.loads(row["tally"])),
            created=from_text(row["created_utc"]),
            status=row["status"],
            attempts=row["attempts"],
            error=row["error"],
        ),
        kind=row["kind"],
        next=from_text(row["next_utc"]),
        expires=from_text(row["expires_utc"]),
        ready_source=row["ready_source"],
        ready_sample=row["ready_sample"],
        run_id=row["run_id"],
        notes=json.loads(row["notes"]),
        settled=None if row["settled_utc"] is None else from_text(row["settled_utc"]),
    )


def to_record(entry: Entry, zone: tzinfo | None) -> dict[str, Any]:
    """What other programs are told of a delivery, in plain values. Times have the offset of the station's zone."""

    def iso(moment: datetime | None) -> str | None:
        return None if moment is None else moment.astimezone(zone).isoformat(timespec="milliseconds")

    delivery = entry.delivery
    is_waiting = delivery.status == "waiting"
    return {
        "key": delivery.key,
        "action": delivery.action,
        "status": delivery.status,
        "durability": entry.kind,
        "attempts": delivery.attempts,
        "error": delivery.error,
        "created": iso(delivery.created),
        "next": iso(entry.next) if is_waiting else None,
        "expires": iso(entry.expires) if is_waiting else None,
        "settled": iso(entry.settled),
        "notes": entry.notes,
        "tally": asdict(delivery.tally),
        "detection": record.to_record(delivery.detection, zone),
    }


@dataclass(frozen=True, slots=True)
class Choice:
    """Which deliveries are looked for. Empty means all."""

    actions: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    since: datetime | None = None
    """Those that were made then or later."""
    keys: tuple[str, ...] = ()
    """As `Delivery.key`, or the id of a detection."""


def find(database: Database, choice: Choice, *, newest: int | None = None) -> Iterator[Entry]:
    """The deliveries of that choice, oldest first; only the `newest` so many of them when that is given."""
    where, parameters = _where(choice)
    numbers = [
        row["number"]
        for row in database.each(
            f"SELECT number FROM deliveries WHERE {where} ORDER BY number DESC LIMIT ?",  # noqa: S608 - _where's own words
            (*parameters, -1 if newest is None else newest),
        )
    ]
    numbers.reverse()
    for first in range(0, len(numbers), _PAGE):
        page = numbers[first : first + _PAGE]
        marks = ", ".join("?" * len(page))
        rows = database.rows(
            f"SELECT * FROM deliveries WHERE number IN ({marks}) ORDER BY number",  # noqa: S608 - question marks
            page,
        )
        yield from map(to_entry, rows)


def of(database: Database, detection_id: str) -> list[Entry]:
    """The deliveries of one detection, oldest first."""
    rows = database.rows("SELECT * FROM deliveries WHERE detection_id = ? ORDER BY number", (detection_id,))
    return [to_entry(row) for row in rows]


def count(database: Database, choice: Choice) -> dict[str, int]:
    """How many deliveries of that choice there are, by status, most first."""
    where, parameters = _where(choice)
    rows = database.rows(
        f"SELECT status, count(*) AS number FROM deliveries WHERE {where} GROUP BY status ORDER BY number DESC",  # noqa: S608 - _where's own words
        parameters,
    )
    return {row["status"]: row["number"] for row in rows}


def revive(database: Database, choice: Choice, now: datetime) -> int:
    """Let dead deliveries of that choice wait again, as if they had just been made; how many that were.

    Raises:
        sqlite3.Error: nothing was written.
    """
    where, parameters = _where(choice)
    with database.transaction() as connection:
        # They get as much time as they had at first, and a week at most: one that is revived twice has had more.
        return connection.execute(
            "UPDATE deliveries SET status = 'waiting', attempts = 0, settled_utc = NULL, next_utc = ?,"  # noqa: S608 - _where's own words
            " expires_utc = strftime('%Y-%m-%dT%H:%M:%f000Z',"
            " julianday(?) + min(7, julianday(expires_utc) - julianday(created_utc)))"
            f" WHERE status = 'dead' AND {where}",
            (to_text(now), to_text(now), *parameters),
        ).rowcount


def _where(choice: Choice) -> tuple[str, tuple[str, ...]]:
    terms, parameters = ["TRUE"], list[str]()
    if choice.since is not None:
        terms.append("created_utc >= ?")
        parameters.append(to_text(choice.since))
    for column, values in (("action", choice.actions), ("status", choice.statuses)):
        if values:
            terms.append(f"{column} IN ({', '.join('?' * len(values))})")
            parameters.extend(values)
    if choice.keys:
        marks = ", ".join("?" * len(choice.keys))
        key = "detection_id || '/' || state || '/' || action"
        terms.append(f"(detection_id IN ({marks}) OR {key} IN ({marks}))")
        parameters.extend((*choice.keys, *choice.keys))
    return " AND ".join(terms), tuple(parameters)


def _to_json(detection: Detection) -> str:
    named = dict(zip(detections.COLUMNS, detections.to_row(detection), strict=True))
    return json.dumps(named, ensure_ascii=False)
