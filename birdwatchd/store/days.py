"""Days: what was heard from one midnight to the next in the station's zone, hour by hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from birdwatchd.domain import Label
from birdwatchd.store.cells import from_text, to_text
from birdwatchd.store.detections import from_row
from birdwatchd.store.reviews import COUNTS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from datetime import tzinfo

    from birdwatchd.domain import Detection
    from birdwatchd.store.database import Database

QUARTER = timedelta(minutes=15)
"""Every zone's hours begin on one."""
FIRST_DAY, LAST_DAY = date(1969, 1, 1), date(2999, 12, 31)
"""What can be asked for. A clock that nobody has set says 1970, and west of Greenwich the year before."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of a day. On a day that clocks are set back one of them is there twice."""

    start: datetime
    """In the station's zone, as `end` is."""
    end: datetime


@dataclass(frozen=True, slots=True)
class Day:
    """A day in the station's zone: 24 hours as a rule, 23 or 25 where clocks change."""

    day: date
    zone: tzinfo
    since: datetime
    until: datetime
    """Aware UTC: the first moment, and the first of the next day."""

    @classmethod
    def of(cls, day: date, zone: tzinfo) -> Day:
        """That day. Where clocks skip midnight it begins after it."""
        since, until = (datetime.combine(one, time(), zone).astimezone(UTC) for one in (day, day + _DAY))
        return cls(day, zone, since, until)

    @property
    def hours(self) -> tuple[Hour, ...]:
        """From the first to the last."""
        starts: list[datetime] = []
        for number in range(round((self.until - self.since) / QUARTER)):
            local = (self.since + number * QUARTER).astimezone(self.zone)
            if not starts or (local.hour, local.utcoffset()) != (starts[-1].hour, starts[-1].utcoffset()):
                starts.append(local)
        ends = [*starts[1:], self.until.astimezone(self.zone)]
        return tuple(Hour(start, end) for start, end in zip(starts, ends, strict=True))


@dataclass(frozen=True, slots=True)
class Best:
    """The best detection of several: the one with the highest score of those that have a clip, or else of all."""

    id: str
    start: datetime
    score: float
    source: str
    clip_path: str
    """Empty where none was to be kept. Old clips give way: the file may be gone."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One species on one day."""

    label: Label
    detections: int
    hours: tuple[int, ...]
    """As many as the day has: how many detections began in each."""
    first: datetime
    """When it was first heard, aware UTC; `last` is the end of the last detection."""
    last: datetime
    best: Best


BEST = (
    "label_index, scientific_name, common_name, species_code, id, start_utc, score, source,"
    " CASE voice WHEN 0 THEN clip_path ELSE '' END AS clip_path"
)
"""What `best_of` reads. Of a voice no clip is kept."""
HAS_CLIP = "(clip_path <> '' AND voice = 0)"


def heard(database: Database, day: Day, source: str | None = None) -> list[Heard]:
    """The species of that day, the most frequent first; of one source only, if it is named.

    Raises:
        StoreError: the database cannot be read.
    """
    where, parameters = _within(day, source)
    places = _quarters(day)
    count = len(day.hours)
    hours: dict[str, list[int]] = {}
    spans: dict[str, tuple[str, str]] = {}
    for name, hour, quarter, detections, first, last in database.rows(
        "SELECT scientific_name, substr(start_utc, 1, 14), substr(start_utc, 15, 2) / 15, count(*),"  # noqa: S608 - _within's own words
        f" min(start_utc), max(end_utc) FROM detections WHERE {where} GROUP BY 1, 2, 3",
        parameters,
    ):
        hours.setdefault(name, [0] * count)[places[f"{hour}{quarter * 15:02}"]] += detections
        before = spans.get(name, (first, last))
        spans[name] = min(first, before[0]), max(last, before[1])
    found = [
        Heard(
            label=Label(row["label_index"], row["scientific_name"], row["common_name"], row["species_code"]),
            detections=sum(hours[row["scientific_name"]]),
            hours=tuple(hours[row["scientific_name"]]),
            first=from_text(spans[row["scientific_name"]][0]),
            last=from_text(spans[row["scientific_name"]][1]),
            best=best_of(row),
        )
        for row in database.rows(
            # SQLite takes the other columns from the row that has the maximum.
            f"SELECT {BEST}, max(score + {HAS_CLIP}) FROM detections WHERE {where} GROUP BY scientific_name",  # noqa: S608 - as above
            parameters,
        )
        if row["scientific_name"] in hours  # not one that was written between the two queries
    ]
    return sorted(found, key=lambda one: (-one.detections, one.label.scientific_name))


def best_of(row: sqlite3.Row) -> Best:
    """What `BEST` has read."""
    return Best(
        id=row["id"],
        start=from_text(row["start_utc"]),
        score=row["score"],
        source=row["source"],
        clip_path=row["clip_path"],
    )


def of_species(database: Database, day: Day, scientific_name: str, at_most: int) -> list[Detection]:
    """The detections of a species on that day, the first first, and no more than so many; those too that do not count.

    Raises:
        StoreError: the database cannot be read.
    """
    rows = database.rows(
        "SELECT * FROM detections INDEXED BY detections_by_species WHERE scientific_name = ? AND start_utc >= ?"
        " AND start_utc < ? ORDER BY start_utc LIMIT ?",
        (scientific_name, to_text(day.since), to_text(day.until), at_most),
    )
    return [from_row(row) for row in rows]


def newcomers(database: Database, day: date, names: Iterable[str]) -> dict[str, str]:
    """Which of these species were heard on that day for the first time: `ever`, or in the `year`.

    Raises:
        StoreError: the database cannot be read.
    """
    first = "(SELECT min(day) FROM heard_days WHERE scientific_name = ? AND day >= ?)"
    found: dict[str, str] = {}
    for name in names:
        for ever, of_year in database.rows(
            f"SELECT {first}, {first}", (name, "", name, f"{day.year:04}-01-01")
        ):
            if day.isoformat() in (ever, of_year):
                found[name] = "ever" if ever == day.isoformat() else "year"
    return found


def sources(database: Database) -> list[str]:
    """The sources that ever heard anything, by name.

    Raises:
        StoreError: the database cannot be read.
    """
    # As in `detections.species`: a step in the index for each.
    rows = database.rows(
        "WITH RECURSIVE known (name) AS (SELECT min(source) FROM detections UNION ALL"
        " SELECT (SELECT min(source) FROM detections WHERE source > name) FROM known WHERE name IS NOT NULL)"
        " SELECT name FROM known WHERE name IS NOT NULL"
    )
    return [name for (name,) in rows]


def _quarters(day: Day) -> dict[str, int]:
    """In which of its hours each quarter of an hour of a day lies, by the beginning of its text in UTC."""
    found: dict[str, int] = {}
    for place, hour in enumerate(day.hours):
        quarter, end = hour.start.astimezone(UTC), hour.end.astimezone(UTC)
        while quarter < end:
            found[to_text(quarter)[: len("2026-05-09T05:45")]] = place
            quarter += QUARTER
    return found


def _within(day: Day, source: str | None) -> tuple[str, tuple[str, ...]]:
    where = f"start_utc >= ? AND start_utc < ? AND {COUNTS}"
    parameters = to_text(day.since), to_text(day.until)
    if source is None:
        return where, parameters
    return f"source = ? AND {where}", (source, *parameters)
