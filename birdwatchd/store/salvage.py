"""Taking what can be read of a damaged database, or of a backup, into a new one."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from birdwatchd.store import deliveries, detections
from birdwatchd.store.cells import from_text
from birdwatchd.store.opening import transaction
from birdwatchd.store.pages import Pages, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from birdwatchd.store.pages import Value

_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class _Table:
    """How the rows of a table are told from all others, and which of two of the same key is the later."""

    name: str
    columns: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], object]
    """Raises when the values make no sense: a page may be whole and not what was written, and whoever reads it later
    would stumble."""
    key: str
    is_unfinished: str = ""
    """As SQL: one like this gives way to another of the same key."""
    place: str = ""
    """Its place, which is in the order of writing; without one in a table of a key alone."""
    later: tuple[Value, ...] = ()
    """What its last columns hold in rows that were written before there were such columns."""

    def whole(self, values: Sequence[Value]) -> Sequence[Value] | None:
        """A row's values, one for each column; None when that is a row of no such table."""
        missing = len(self.columns) - len(values)
        if not 0 <= missing <= len(self.later):
            return None
        return (*values, *self.later[len(self.later) - missing :])


def salvage(damaged: Path, into: sqlite3.Connection, *, until: float, keep_places: bool) -> dict[str, int]:
    """Copy every row that is found, makes sense and is not there yet; how many, by table.

    Candidates are left out: they are gone in a week.

    Args:
        damaged: it is only read.
        into: an up-to-date database.
        until: monotonic time; what was not read by then is left.
        keep_places: rows keep their places in the table. For an empty `into`.

    Raises:
        OSError: not even the file can be read.
        sqlite3.Error: `into` cannot be written.
    """
    tables = _tables(into)
    copied = {table.name: 0 for table in tables}
    with Pages(damaged) as pages:
        found = rows(pages)
        while time.monotonic() < until and (chunk := list(islice(found, _CHUNK))):
            with transaction(into):
                for place, values in chunk:
                    table = _table_of(place, values, tables)
                    whole = None if table is None else table.whole(values)
                    if table is not None and whole is not None:
                        copied[table.name] += _write(into, table, whole, place if keep_places else None)
    return copied


def _tables(into: sqlite3.Connection) -> list[_Table]:
    def columns(table: str) -> tuple[str, ...]:
        return tuple(row["name"] for row in into.execute(f"PRAGMA table_info({table})"))

    return [
        _Table(
            "detections",
            columns("detections"),
            detections.from_row,  # type: ignore[arg-type] # it asks by name
            key="id",
            is_unfinished="detections.state = 'started'",
            place="rowid",
            later=("",),
        ),
        _Table(
            "deliveries",
            columns("deliveries"),
            deliveries.to_entry,  # type: ignore[arg-type] # as above
            key="detection_id, state, action",
            is_unfinished="deliveries.status = 'waiting'",
            place="number",
        ),
        _Table(
            "runs",
            columns("runs"),
            lambda row: (from_text(row["started_utc"]), from_text(row["seen_utc"])),
            key="run_id",
            is_unfinished="runs.version = ''",
            place="rowid",
        ),
        _Table(
            "ledger",
            columns("ledger"),
            lambda row: (from_text(row["hour_utc"]), float(row["seconds"])),
            key="hour_utc, source, kind, cause",
        ),
        _Table(
            "accounted",
            columns("accounted"),
            lambda row: from_text(row["until_utc"]),
            key="source",
        ),
    ]


def _table_of(place: int | None, values: Sequence[Value], tables: Iterable[_Table]) -> _Table | None:
    """The table that a row can only be of."""
    for table in tables:
        whole = table.whole(values)
        if whole is not None and (place is None) is (table.place == ""):
            named = dict(zip(table.columns, whole, strict=True))
            if table.place == "number":
                named["number"] = place  # it is not written twice
            try:
                table.read(named)
            except (ValueError, TypeError, LookupError, AttributeError):
                continue
            return table
    return None


def _write(into: sqlite3.Connection, table: _Table, values: Sequence[Value], place: int | None) -> int:
    named = dict(zip(table.columns, values, strict=True))
    if table.place:
        named.pop(table.place, None)
        if place is not None:
            named[table.place] = place
    update = ", ".join(f"{name} = excluded.{name}" for name in named if name != table.place)
    how = f"DO UPDATE SET {update} WHERE {table.is_unfinished}" if table.is_unfinished else "DO NOTHING"
    try:
        if table.name == "detections":
            # Its run's own row may be one of those that cannot be read, or come later.
            into.execute(
                "INSERT INTO runs (run_id, started_utc, seen_utc, version, model, node, config_hash)"
                " VALUES (:run_id, :start_utc, :end_utc, '', :model, '', '') ON CONFLICT DO NOTHING",
                named,
            )
        return into.execute(
            f"INSERT INTO {table.name} ({', '.join(named)}) VALUES ({', '.join('?' * len(named))})"  # noqa: S608 - names of ours
            f" ON CONFLICT ({table.key}) {how}",
            tuple(named.values()),
        ).rowcount
    except sqlite3.IntegrityError:
        return 0  # it is of no kind that this table holds, or its place is taken
