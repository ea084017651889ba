"""Detections from the newest on, a page at a time: each page begins where the one before has ended, however many there are."""

from __future__ import annotations

import base64
import binascii
import heapq
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Self

from birdwatchd.config.species import matches
from birdwatchd.store import detections
from birdwatchd.store.cells import to_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from birdwatchd.domain import Detection
    from birdwatchd.store.database import Database
    from birdwatchd.store.detections import Choice

MOST_LOOKED_AT = 10_000
"""Rows, for one page: a choice that hardly any fits is answered with short pages, and not after minutes."""
MOST_LANES = 30
"""So many species or sources are read from their own index; of more, all rows are looked at."""
_PLACE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)~([^~]{1,64})")
_COLUMNS = "start_utc, id, rowid, scientific_name, source, site, score"


@dataclass(frozen=True, slots=True)
class Place:
    """A detection that was looked at, from which to go on."""

    start_utc: str
    identity: str

    @classmethod
    def parse(cls, cursor: str) -> Self:
        """The place that a cursor means.

        Raises:
            ValueError: it is none.
        """
        try:
            written = base64.b64decode(cursor.encode("ascii"), b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            written = ""
        found = _PLACE.fullmatch(written)
        if found is None:
            raise ValueError("it is no cursor that came with a page; begin again without one")
        return cls(found[1], found[2])

    def cursor(self) -> str:
        """The place as a word that addresses may hold."""
        return base64.urlsafe_b64encode(f"{self.start_utc}~{self.identity}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Page:
    """Some detections, the newest first."""

    detections: tuple[Detection, ...]
    next: Place | None
    """Where to go on; None when nothing follows. A page may be short, or even empty, and have one."""


def page(database: Database, choice: Choice, *, most: int, after: Place | None = None) -> Page:
    """The newest detections of that choice, or those that follow `after`; `most` of them.

    Raises:
        StoreError: the database cannot be read.
    """
    names = None
    if choice.species:
        known = detections.species(database)
        names = {
            label.scientific_name
            for label in known
            if any(matches(pattern, label) for pattern in choice.species)
        }
    found: list[int] = []
    last = None
    looked_at = 0
    for row in islice(_walk(database, choice, names, after), MOST_LOOKED_AT):
        looked_at += 1
        if _fits(row, choice, names):
            if len(found) == most:
                return Page(_read(database, found), last)
            found.append(row["rowid"])
        last = Place(row["start_utc"], row["id"])
    return Page(_read(database, found), last if looked_at == MOST_LOOKED_AT else None)


def beside(database: Database, detection: Detection) -> tuple[str, str]:
    """The ids of the detection before and of the one after, in time; empty where there is none.

    Raises:
        StoreError: the database cannot be read.
    """
    start = to_text(detection.start)
    found = []
    for sign, order in (("<", "DESC"), (">", "ASC")):
        rows = database.rows(
            f"SELECT id FROM detections INDEXED BY detections_by_start WHERE start_utc {sign}= ?"  # noqa: S608 - the words above
            f" AND (start_utc {sign} ? OR id {sign} ?) ORDER BY start_utc {order}, id {order} LIMIT 1",
            (start, start, detection.id),
        )
        found.append(rows[0]["id"] if rows else "")
    return found[0], found[1]


def _walk(
    database: Database, choice: Choice, names: set[str] | None, after: Place | None
) -> Iterator[sqlite3.Row]:
    """All that may fit, the newest first."""
    term, index, lanes = "?", "detections_by_start", {"1"}
    if names is not None and len(names) <= MOST_LANES:
        term, index, lanes = "scientific_name = ?", "detections_by_species", names
    elif choice.sources and len(choice.sources) <= MOST_LANES:
        term, index, lanes = "source = ?", "detections_by_source", {*choice.sources}
    parameters: list[str] = []
    for condition, moment in (("start_utc >= ?", choice.since), ("start_utc < ?", choice.until)):
        if moment is not None:
            term += f" AND {condition}"
            parameters.append(to_text(moment))
    if after is not None:
        term += " AND start_utc <= ? AND NOT (start_utc = ? AND id >= ?)"
        parameters += [after.start_utc, after.start_utc, after.identity]
    sql = (
        f"SELECT {_COLUMNS} FROM detections INDEXED BY {index} WHERE {term}"  # noqa: S608 - the words above
        " ORDER BY start_utc DESC, id DESC"
    )
    streams = [database.each(sql, (lane, *parameters)) for lane in sorted(lanes)]
    return heapq.merge(*streams, key=lambda row: (row["start_utc"], row["id"]), reverse=True)


def _fits(row: sqlite3.Row, choice: Choice, names: set[str] | None) -> bool:
    return (
        row["score"] >= choice.min_score
        and (names is None or row["scientific_name"] in names)
        and (not choice.sources or row["source"] in choice.sources)
        and (not choice.sites or row["site"] in choice.sites)
    )


def _read(database: Database, places: list[int]) -> tuple[Detection, ...]:
    marks = ", ".join("?" * len(places))
    rows = database.rows(f"SELECT rowid, * FROM detections WHERE rowid IN ({marks})", places)  # noqa: S608 - question marks
    by_place = {row["rowid"]: detections.from_row(row) for row in rows}
    return tuple(by_place[place] for place in places if place in by_place)
