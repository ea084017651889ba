"""Species: all that were ever heard, one of them over all the time, and the first of a year."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query

from birdwatchd.store import seasons, species
from birdwatchd.store.days import FIRST_DAY, LAST_DAY
from birdwatchd.web.api.days import BestRecord, best_record, local
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.records import Record, Trouble

if TYPE_CHECKING:
    from datetime import tzinfo

router = APIRouter(tags=["species"], responses={503: {"model": Trouble}})

MOST_BEST = 100


class SpeciesRecord(Record):
    """A species that was heard at this station."""

    scientific_name: str
    common_name: str
    species_code: str
    detections: int
    first: str
    """When its first detection began: ISO time with the offset of the station's zone."""
    last: str
    """When its last one began."""


class CountOfDay(Record):
    """How often it was heard on a day."""

    day: date
    detections: int


class CountOfHour(Record):
    """How often it was heard in an hour of the day, in a month of all years."""

    month: int
    """1 to 12."""
    hour: int
    """0 to 23, by the station's clock."""
    detections: int


class SpeciesDetailRecord(SpeciesRecord):
    """A species over all the time."""

    days: list[CountOfDay]
    """Those on which it was heard, oldest first."""
    hours: list[CountOfHour]
    best: list[BestRecord]
    """Its detections with the highest scores, the best first."""


class FirstRecord(Record):
    """The first detection of a species in a year."""

    scientific_name: str
    common_name: str
    species_code: str
    is_first_ever: bool
    year_before: date | None
    """The day it came the year before; null when it was not heard then."""
    detection: BestRecord


@router.get("/species")
def list_species(house: TheHouse, database: Reading) -> list[SpeciesRecord]:
    """Every species that was ever detected, the most frequent first."""
    zone = house.zone()
    return [SpeciesRecord(**_fields(one, zone)) for one in species.totals(database)]


@router.get("/species/{scientific_name:path}", responses={404: {"model": Trouble}})
def one_species(
    house: TheHouse,
    database: Reading,
    scientific_name: Annotated[str, Path(max_length=200, examples=["Turdus merula"])],
    best: Annotated[int, Query(ge=0, le=MOST_BEST, description="How many of the best detections.")] = 10,
) -> SpeciesDetailRecord:
    """One of them: how often on which days, in which hours, and its best detections."""
    zone = house.zone()
    total = species.total(database, scientific_name)
    if total is None:
        raise HTTPException(404, f"No '{scientific_name}' was ever heard here, or none that was right.")
    return SpeciesDetailRecord(
        **_fields(total, zone),
        days=[
            CountOfDay(day=day, detections=count) for day, count in species.days(database, scientific_name)
        ],
        hours=[
            CountOfHour(month=month, hour=hour, detections=count)
            for month, hour, count in species.hours(database, scientific_name)
        ],
        best=[best_record(one, zone) for one in species.best(database, scientific_name, best)],
    )


@router.get("/firsts/{year}")
def first_of_the_year(
    house: TheHouse,
    database: Reading,
    year: Annotated[int, Path(ge=FIRST_DAY.year, le=LAST_DAY.year, examples=[2026])],
) -> list[FirstRecord]:
    """The first detection of each species in a year, the newest arrival first."""
    zone = house.zone()
    return [
        FirstRecord(
            scientific_name=one.label.scientific_name,
            common_name=one.label.common_name,
            species_code=one.label.code,
            is_first_ever=one.is_first_ever,
            year_before=one.year_before,
            detection=best_record(one.detection, zone),
        )
        for one in seasons.firsts(database, year, zone)
    ]


def _fields(total: species.Total, zone: tzinfo) -> dict[str, Any]:
    return {
        "scientific_name": total.label.scientific_name,
        "common_name": total.label.common_name,
        "species_code": total.label.code,
        "detections": total.detections,
        "first": local(total.first, zone),
        "last": local(total.last, zone),
    }
