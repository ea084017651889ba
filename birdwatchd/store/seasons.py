"""Seasons: who was there when, over months and years, by the counts of days in the station's zone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from birdwatchd.store.cells import to_text
from birdwatchd.store.days import BEST, Best, best_of
from birdwatchd.store.detections import species
from birdwatchd.store.reviews import COUNTS

if TYPE_CHECKING:
    from datetime import tzinfo

    from birdwatchd.domain import Label
    from birdwatchd.store.database import Database


@dataclass(frozen=True, slots=True)
class DayCount:
    """How much was heard on a day."""

    day: date
    species: int
    detections: int


@dataclass(frozen=True, slots=True)
class Season:
    """A species over some time: how often it was heard on each day on which it was."""

    label: Label
    days: tuple[tuple[date, int], ...]
    """In their order."""

    @property
    def detections(self) -> int:
        """Of all the days."""
        return sum(count for _, count in self.days)


@dataclass(frozen=True, slots=True)
class First:
    """The first detection of a species in a year."""

    label: Label
    detection: Best
    is_first_ever: bool
    year_before: date | None
    """The day it came in the year before; None when it was not heard then."""


def days(database: Database, first: date, last: date, source: str | None = None) -> list[DayCount]:
    """The days from the first to the last on which anything was heard, in their order.

    Raises:
        StoreError: the database cannot be read.
    """
    rows = database.rows(
        "SELECT day, count(DISTINCT scientific_name), sum(detections) FROM heard_days WHERE day BETWEEN ? AND ?"
        " AND (? IS NULL OR source = ?) GROUP BY day",
        (first.isoformat(), last.isoformat(), source, source),
    )
    return [DayCount(date.fromisoformat(day), found, detections) for day, found, detections in rows]


def seasons(database: Database, first: date, last: date, source: str | None = None) -> list[Season]:
    """The species of the days from the first to the last, by scientific name.

    Raises:
        StoreError: the database cannot be read.
    """
    by_species: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for day, name, detections in database.each(
        "SELECT day, scientific_name, detections FROM heard_days WHERE day BETWEEN ? AND ?"
        " AND (? IS NULL OR source = ?)",
        (first.isoformat(), last.isoformat(), source, source),
    ):
        by_species[name][day] += detections
    dates = {day: date.fromisoformat(day) for day in {day for each in by_species.values() for day in each}}
    return [
        Season(
            label,
            tuple((dates[day], detections) for day, detections in by_species[label.scientific_name].items()),
        )
        for label in species(database)
        if label.scientific_name in by_species
    ]


def firsts(database: Database, year: int, zone: tzinfo) -> list[First]:
    """The first detection of every species of that year in the station's zone, the newest arrival first.

    Raises:
        StoreError: the database cannot be read.
    """
    since, until = (datetime(one, 1, 1, tzinfo=zone).astimezone(UTC) for one in (year, year + 1))
    found: list[First] = []
    for label in species(database):
        name = label.scientific_name
        rows = database.rows(
            f"SELECT {BEST}, (SELECT min(start_utc) FROM detections WHERE scientific_name = ? AND {COUNTS}) AS ever,"  # noqa: S608 - its own words
            " (SELECT min(day) FROM heard_days WHERE scientific_name = ? AND day >= ? AND day < ?) AS year_before"
            f" FROM detections WHERE scientific_name = ? AND start_utc >= ? AND start_utc < ? AND {COUNTS}"
            " ORDER BY start_utc LIMIT 1",
            (name, name, f"{year - 1:04}-01-01", f"{year:04}-01-01", name, to_text(since), to_text(until)),
        )
        found += [
            First(
                label,
                best_of(row),
                is_first_ever=row["ever"] == row["start_utc"],
                year_before=date.fromisoformat(row["year_before"]) if row["year_before"] else None,
            )
            for row in rows
        ]
    return sorted(found, key=lambda one: (one.detection.start, one.label.scientific_name), reverse=True)


def years(database: Database) -> list[int]:
    """The years in which anything was heard, the newest first.

    Raises:
        StoreError: the database cannot be read.
    """
    rows = database.rows(
        "WITH RECURSIVE known (day) AS (SELECT max(day) FROM heard_days UNION ALL"
        " SELECT (SELECT max(heard_days.day) FROM heard_days WHERE heard_days.day < substr(known.day, 1, 4))"
        " FROM known WHERE known.day IS NOT NULL) SELECT substr(day, 1, 4) FROM known WHERE day IS NOT NULL"
    )
    return [int(year) for (year,) in rows]
