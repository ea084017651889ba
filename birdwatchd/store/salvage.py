"""Taking what can be read of a damaged database, or of a backup, into a new one."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from birdwatchd.store import deliveries, detections, reviews
from birdwatchd.store.cells import from_text
from birdwatchd.store.opening import transaction
from birdwatchd.store.pages import Pages, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from birdwatchd.store.pages import Row, Value

_CHUNK = 5000
_CACHE_KILOBYTES = 32_000
_NEEDED = b"every row has it"


@dataclass(frozen=True, slots=True)
class _Table:
    """How the rows of a table are told from all others, and which of two of the same key is the later."""

    name: str
    columns: dict[str, Value]
    """And what a row has in each where it is older than the column; `_NEEDED` in those that every row has."""
    read: Callable[[Mapping[str, Any]], object]
    """Raises when the values make no sense: a page may be whole and not what was written, and whoever reads it later
    would stumble."""
    key: str = ""
    is_unfinished: str = ""
    """As SQL: one like this gives way to another of the same key."""
    place: str = ""
    """Its place, which is in the order of writing; without one in a table of a key alone."""


_Shapes = dict[tuple[int, bool], list[tuple[_Table, dict[str, "Value"]]]]


def _note_nothing(_page: int | None) -> None:
    pass


def salvage(
    damaged: Path,
    into: sqlite3.Connection,
    *,
    until: float,
    keep_places: bool,
    first: int = 1,
    reach: Callable[[int | None], None] = _note_nothing,
) -> dict[str, int]:
    """Copy every row that is found, makes sense and is not there yet; how many, by table.

    Candidates are left out: they are gone in a week.

    Args:
        damaged: it is only read.
        into: an up-to-date database.
        until: monotonic time; what was not read by then is left.
        keep_places: rows keep their places in the table. For an empty `into`.
        first: the page to begin at.
        reach: told after each writing at which page to go on another time; None at the end.

    Raises:
        OSError: not even the file can be read.
        sqlite3.Error: `into` cannot be written.
    """
    tables = _tables(into)
    shapes = _shapes(tables)
    copied = {table.name: 0 for table in tables}
    into.execute(f"PRAGMA cache_size = -{_CACHE_KILOBYTES}")  # the order of ids is no order
    with Pages(damaged) as pages:
        chunk: list[Row] = []
        for number, found in rows(pages, shapes.keys(), first):
            is_over = time.monotonic() >= until
            if is_over or len(chunk) >= _CHUNK:
                _write_all(chunk, into, shapes, copied, keep_places=keep_places)
                chunk = []
                reach(number)
            if is_over:
                return copied
            chunk += found
        _write_all(chunk, into, shapes, copied, keep_places=keep_places)
    reach(None)
    return copied


def _write_all(
    chunk: Iterable[Row],
    into: sqlite3.Connection,
    shapes: _Shapes,
    copied: dict[str, int],
    *,
    keep_places: bool,
) -> None:
    with transaction(into):
        for place, values in chunk:
            found = _find_table(place, values, shapes)
            if found is not None:
                table, named = found
                copied[table.name] += _write(into, table, named, place if keep_places else None)


def _tables(into: sqlite3.Connection) -> list[_Table]:
    return [
        _Table(
            "detections",
            _columns(into, "detections"),
            detections.from_row,  # type: ignore[arg-type] # it asks by name
            key="id",
            is_unfinished="detections.state = 'started'",
            place="rowid",
        ),
        _Table(
            "deliveries",
            _columns(into, "deliveries"),
            deliveries.to_entry,  # type: ignore[arg-type] # as above
            key="detection_id, state, action",
            is_unfinished="deliveries.status = 'waiting'",
            place="number",
        ),
        _Table(
            "runs",
            _columns(into, "runs"),
            lambda row: (_moment(row["started_utc"]), _moment(row["seen_utc"])),
            key="run_id",
            is_unfinished="runs.version = ''",
            place="rowid",
        ),
        _Table(
            "clock_steps",
            _columns(into, "clock_steps"),
            lambda row: (_moment(row["before_utc"]), float(row["seconds"])),
            place="rowid",
        ),
        _Table(
            "ledger",
            _columns(into, "ledger"),
            lambda row: (_moment(row["hour_utc"]), float(row["seconds"])),
            key="hour_utc, source, kind, cause",
        ),
        _Table(
            "reviews",
            _columns(into, "reviews"),
            reviews.from_row,  # type: ignore[arg-type] # as above
            key="detection_id, said_utc",
        ),
        _Table("accounted", _columns(into, "accounted"), lambda row: _moment(row["until_utc"]), key="source"),
    ]


def _columns(into: sqlite3.Connection, table: str) -> dict[str, Value]:
    return {
        row["name"]: _NEEDED
        if row["dflt_value"] is None
        else into.execute(f"SELECT {row['dflt_value']}").fetchone()[0]
        for row in into.execute(f"PRAGMA table_info({table})")
    }


def _moment(text: Value) -> datetime:
    moment = from_text(text) if isinstance(text, str) else None
    if moment is None or moment.tzinfo is None:
        raise ValueError(text)
    return moment


def _shapes(tables: Iterable[_Table]) -> _Shapes:
    """By how many values a row has, and whether it has a place: the tables it may be of, and what it lacks in each.

    A row that is older than a column does not have it: it is as the step that added it says.
    """
    shapes: _Shapes = {}
    for table in tables:
        items = list(table.columns.items())
        least = max(number for number, (_, value) in enumerate(items, start=1) if value is _NEEDED)
        for width in range(least, len(items) + 1):
            shapes.setdefault((width, bool(table.place)), []).append((table, dict(items[width:])))
    return shapes


def _find_table(
    place: int | None, values: Sequence[Value], shapes: _Shapes
) -> tuple[_Table, dict[str, Value]] | None:
    """The table that a row can only be of, and its values by name."""
    for table, lacking in shapes.get((len(values), place is not None), ()):
        named = dict(zip(table.columns, values, strict=False)) | lacking
        if table.place == "number":
            named["number"] = place  # it is not written twice
        try:
            table.read(named)
        except (ValueError, TypeError, LookupError, AttributeError):
            continue
        return table, named
    return None


def _write(into: sqlite3.Connection, table: _Table, named: dict[str, Value], place: int | None) -> int:
    if table.place:
        named.pop(table.place, None)
        if place is not None:
            named[table.place] = place
    update = ", ".join(f"{name} = excluded.{name}" for name in named if name != table.place)
    values = ", ".join("?" * len(named))
    if table.key:
        source, conflict, parameters = f"VALUES ({values})", f"ON CONFLICT ({table.key})", [*named.values()]
    else:
        told = {name: value for name, value in named.items() if name != table.place}
        same = " AND ".join(f"{name} IS ?" for name in told)
        source = f"SELECT {values} WHERE NOT EXISTS (SELECT 1 FROM {table.name} WHERE {same})"  # noqa: S608 - names of ours
        conflict, parameters = "ON CONFLICT", [*named.values(), *told.values()]
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
            f"INSERT INTO {table.name} ({', '.join(named)}) {source} {conflict} {how}",
            parameters,
        ).rowcount
    except sqlite3.IntegrityError:
        return 0  # it is of no kind that this table holds, or its place is taken
