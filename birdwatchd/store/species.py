"""One species over all the time: how often, when in the year and the day, and its best detections."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from birdwatchd.domain import Label
from birdwatchd.store.cells import from_text
from birdwatchd.store.days import BEST, Best, best_of
from birdwatchd.store.reviews import COUNTS

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from birdwatchd.store.database import Database


@dataclass(frozen=True, slots=True)
class Total:
    """All of a species."""

    label: Label
    detections: int
    first: datetime
    last: datetime
    """When its first and its last detection began."""


_TOTAL = (
    "SELECT label_index, scientific_name, common_name, species_code, total.detections AS detections, start_utc AS last,"  # noqa: S608 - constants
    f" (SELECT min(start_utc) FROM detections WHERE scientific_name = total.name AND {COUNTS}) AS first"
    " FROM ({counts}) AS total JOIN detections ON detections.rowid = (SELECT rowid FROM detections"
    f" WHERE scientific_name = total.name AND {COUNTS} ORDER BY start_utc DESC LIMIT 1)"
)
_EVERY = _TOTAL.format(
    counts="SELECT scientific_name AS name, sum(detections) AS detections FROM heard_hours GROUP BY scientific_name"
)
_ONE = _TOTAL.format(
    counts="SELECT ? AS name, coalesce(sum(detections), 0) AS detections FROM heard_hours WHERE scientific_name = ?"
)


def totals(database: Database) -> list[Total]:
    """Every species that was ever heard, the most frequent first. What was judged to be wrong does not count, here and below.

    Raises:
        StoreError: the database cannot be read.
    """
    found = [_to_total(row) for row in database.rows(_EVERY)]
    return sorted(found, key=lambda one: (-one.detections, one.label.scientific_name))


def total(database: Database, scientific_name: str) -> Total | None:
    """The same of one species; None when it was never detected, or nothing of it counts.

    Raises:
        StoreError: the database cannot be read.
    """
    for row in database.rows(_ONE, (scientific_name, scientific_name)):
        return _to_total(row)
    return None


def days(database: Database, scientific_name: str) -> list[tuple[date, int]]:
    """On which days it was heard, and how often, in their order.

    Raises:
        StoreError: the database cannot be read.
    """
    rows = database.rows(
        "SELECT day, sum(detections) FROM heard_days WHERE scientific_name = ? GROUP BY day",
        (scientific_name,),
    )
    return [(date.fromisoformat(day), detections) for day, detections in rows]


def hours(database: Database, scientific_name: str) -> list[tuple[int, int, int]]:
    """In which month of the year (1 to 12) and hour of the day (0 to 23) it was heard, and how often; all years together.

    Raises:
        StoreError: the database cannot be read.
    """
    rows = database.rows(
        "SELECT CAST(substr(month, 6, 2) AS INTEGER), hour, sum(detections) FROM heard_hours WHERE scientific_name = ?"
        " GROUP BY 1, 2",
        (scientific_name,),
    )
    return [tuple(row) for row in rows]


def best(database: Database, scientific_name: str, at_most: int) -> list[Best]:
    """Its detections with the highest scores, the best first.

    Raises:
        StoreError: the database cannot be read.
    """
    return _some(database, scientific_name, "score DESC, rowid DESC", at_most)


def newest(database: Database, scientific_name: str, at_most: int) -> list[Best]:
    """Its newest detections, the newest first.

    Raises:
        StoreError: the database cannot be read.
    """
    return _some(database, scientific_name, "start_utc DESC", at_most)


def last_of_all(database: Database, scientific_name: str) -> tuple[str, datetime] | None:
    """Its common name, and when its newest detection began, also where that was wrong; None when it was never detected.

    Raises:
        StoreError: the database cannot be read.
    """
    for row in database.rows(
        "SELECT common_name, start_utc FROM detections WHERE scientific_name = ? ORDER BY start_utc DESC LIMIT 1",
        (scientific_name,),
    ):
        return row["common_name"], from_text(row["start_utc"])
    return None


def _some(database: Database, scientific_name: str, order: str, at_most: int) -> list[Best]:
    rows = database.rows(
        f"SELECT {BEST} FROM detections WHERE scientific_name = ? AND {COUNTS} ORDER BY {order} LIMIT ?",  # noqa: S608 - constants
        (scientific_name, at_most),
    )
    return [best_of(row) for row in rows]


def _to_total(row: sqlite3.Row) -> Total:
    return Total(
        label=Label(row["label_index"], row["scientific_name"], row["common_name"], row["species_code"]),
        detections=row["detections"],
        first=from_text(row["first"]),
        last=from_text(row["last"]),
    )
