"""Detections: written once when they start and once when they end, and found again."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from birdwatchd.config.species import matches
from birdwatchd.domain import Detection, Label
from birdwatchd.store.cells import from_text, to_real, to_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sized
    from datetime import datetime

    from birdwatchd.store.database import Database

COLUMNS = (
    "id",
    "run_id",
    "source",
    "site",
    "label_index",
    "scientific_name",
    "common_name",
    "species_code",
    "start_sample",
    "end_sample",
    "start_utc",
    "end_utc",
    "score",
    "windows",
    "model",
    "threshold",
    "occurrence",
    "processing_ns",
    "clip_path",
    "voice",
    "state",
    "dating",
)

_PAGE = 1000

Row = tuple[str | int | float | None, ...]
"""As `COLUMNS`."""


def _marks(values: Sized) -> str:
    return ", ".join("?" * len(values))


_WRITE = (
    f"INSERT INTO detections ({', '.join(COLUMNS)}) VALUES ({_marks(COLUMNS)})"  # noqa: S608 - constants
    f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in COLUMNS[1:])}"
)


def to_row(detection: Detection) -> Row:
    """The row of a detection, in plain types: numbers may come as numpy's."""
    return (
        detection.id,
        detection.run_id,
        detection.source,
        detection.site,
        int(detection.label.index),
        detection.label.scientific_name,
        detection.label.common_name,
        detection.label.code,
        int(detection.start_sample),
        int(detection.end_sample),
        to_text(detection.start),
        to_text(detection.end),
        to_real(detection.score),
        int(detection.windows),
        detection.model,
        to_real(detection.threshold),
        None if detection.occurrence is None else to_real(detection.occurrence),
        int(detection.processing_ns),
        detection.clip_path,
        int(detection.voice),
        detection.state,
        detection.dating,
    )


def from_row(row: sqlite3.Row | dict[str, Any]) -> Detection:
    """The detection that `to_row` made a row of."""
    return Detection(
        id=row["id"],
        run_id=row["run_id"],
        source=row["source"],
        site=row["site"],
        label=Label(row["label_index"], row["scientific_name"], row["common_name"], row["species_code"]),
        start_sample=row["start_sample"],
        end_sample=row["end_sample"],
        start=from_text(row["start_utc"]),
        end=from_text(row["end_utc"]),
        score=row["score"],
        windows=row["windows"],
        model=row["model"],
        threshold=row["threshold"],
        occurrence=row["occurrence"],
        processing_ns=row["processing_ns"],
        clip_path=row["clip_path"],
        voice=bool(row["voice"]),
        state=row["state"],
        dating=row["dating"],
    )


def write(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write detections in their order; the same id is the same row, in its latest state. Inside a transaction."""
    connection.executemany(_WRITE, rows)


def end_all(connection: sqlite3.Connection) -> list[Detection]:
    """End what goes on, where it was last heard; those that were ended. Inside a transaction."""
    rows = connection.execute("UPDATE detections SET state = 'ended' WHERE state = 'started' RETURNING *")
    return [from_row(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which detections are looked for. Empty means all."""

    species: tuple[str, ...] = ()
    """Patterns for scientific or common names, as in the config."""
    since: datetime | None = None
    until: datetime | None = None
    """Those that start at `since` or later, and before `until`."""
    min_score: float = 0.0
    sources: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    after_place: int = 0
    """Those that first came into the table after that place; see `settled`."""


@dataclass(frozen=True, slots=True)
class SpeciesTotal:
    """All detections of one species."""

    scientific_name: str
    common_name: str
    detections: int
    seconds: float
    best_score: float
    first: datetime
    last: datetime


def find(database: Database, choice: Choice, *, newest: int | None = None) -> Iterator[Detection]:
    """The detections of that choice, oldest first; only the `newest` so many of them when that is given.

    A million of them needs little memory, and whoever reads on slowly is in nobody's way: first come their places in the
    table, then page by page the rows.
    """
    where, parameters = _where(database, choice)
    places = array(
        "q",
        (
            row["rowid"]
            for row in database.each(
                f"SELECT rowid FROM detections WHERE {where}"  # noqa: S608 - _where's own words
                " ORDER BY start_utc DESC, rowid DESC LIMIT ?",
                (*parameters, -1 if newest is None else newest),
            )
        ),
    )
    places.reverse()
    for first in range(0, len(places), _PAGE):
        page = places[first : first + _PAGE]
        rows = database.rows(
            f"SELECT rowid, * FROM detections WHERE rowid IN ({_marks(page)})",  # noqa: S608 - question marks
            page,
        )
        by_place = {row["rowid"]: from_row(row) for row in rows}
        yield from (by_place[place] for place in page if place in by_place)


def get(database: Database, identity: str) -> Detection | None:
    """The detection of that id; None when there is none."""
    for row in database.rows("SELECT * FROM detections WHERE id = ?", (identity,)):
        return from_row(row)
    return None


def count(database: Database, choice: Choice) -> list[SpeciesTotal]:
    """The same by species, the most frequent first."""
    where, parameters = _where(database, choice)
    rows = database.rows(
        "SELECT scientific_name, max(common_name) AS common_name, count(*) AS detections, max(score) AS best_score,"  # noqa: S608 - as above
        " round(sum(julianday(end_utc) - julianday(start_utc)) * 86400, 3) AS seconds,"
        f" min(start_utc) AS first, max(end_utc) AS last FROM detections WHERE {where}"
        " GROUP BY scientific_name ORDER BY detections DESC, scientific_name",
        parameters,
    )
    return [
        SpeciesTotal(
            scientific_name=row["scientific_name"],
            common_name=row["common_name"],
            detections=row["detections"],
            seconds=row["seconds"],
            best_score=row["best_score"],
            first=from_text(row["first"]),
            last=from_text(row["last"]),
        )
        for row in rows
    ]


def species(database: Database) -> list[Label]:
    """Every species that was ever detected, by scientific name, with the newest of its common names."""
    # Two steps in the index for each species: SQLite's own DISTINCT would walk through all rows.
    rows = database.rows(
        "WITH RECURSIVE heard (name) AS ("
        " SELECT min(scientific_name) FROM detections"
        " UNION ALL"
        " SELECT (SELECT min(scientific_name) FROM detections WHERE scientific_name > name) FROM heard"
        " WHERE name IS NOT NULL"
        ") SELECT label_index, scientific_name, common_name, species_code FROM heard JOIN detections"
        " ON detections.rowid = (SELECT rowid FROM detections WHERE scientific_name = name"
        " ORDER BY start_utc DESC LIMIT 1)"
    )
    return [Label(*row) for row in rows]


def settled(database: Database) -> int:
    """A place in the table up to which every detection has ended."""
    (row,) = database.rows(
        "SELECT coalesce((SELECT min(rowid) - 1 FROM detections WHERE state = 'started'),"
        " (SELECT max(rowid) FROM detections), 0)"
    )
    return int(row[0])


def _where(database: Database, choice: Choice) -> tuple[str, tuple[str | float, ...]]:
    terms = ["TRUE"]
    parameters: list[str | float] = []
    if choice.min_score:
        terms.append("score >= ?")
        parameters.append(choice.min_score)
    if choice.since is not None:
        terms.append("start_utc >= ?")
        parameters.append(to_text(choice.since))
    if choice.until is not None:
        terms.append("start_utc < ?")
        parameters.append(to_text(choice.until))
    if choice.after_place:
        terms.append("rowid > ?")
        parameters.append(choice.after_place)
    lists = [("source", choice.sources), ("site", choice.sites)]
    if choice.species:
        # Here and not in SQL, whose LIKE knows no upper and lower case beyond English.
        known = species(database)
        lists.append(
            (
                "scientific_name",
                tuple(
                    x.scientific_name for x in known if any(matches(pattern, x) for pattern in choice.species)
                ),
            )
        )
    for column, values in lists:
        if values or column == "scientific_name":
            terms.append(f"{column} IN ({_marks(values)})")
            parameters.extend(values)
    return " AND ".join(terms), tuple(parameters)
