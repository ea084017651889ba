"""Days: how much was heard on each, and everything of one: species by hour, and when it listened."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, HTTPException, Path, Query

from birdwatchd.store import days, ledger, seasons
from birdwatchd.store.days import FIRST_DAY, LAST_DAY, Day
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.records import Record, Trouble
from birdwatchd.web.ribbon import HOUR, Ribbon, ribbons

if TYPE_CHECKING:
    from datetime import tzinfo

    from birdwatchd.store.days import Best, Heard

router = APIRouter(tags=["days"], responses={503: {"model": Trouble}})

MOST_DAYS = 366
A_MONTH = 30
ASource = Annotated[str | None, Query(max_length=200, description="Of this source only.")]


class DayRecord(Record):
    """A day in the station's zone, in short."""

    day: date
    species: int
    detections: int
    heard_seconds: float
    """How long it listened; of several sources, the one that was heard longest in each hour counts."""


class BestRecord(Record):
    """A detection among others: the one with the highest score, of those that were to have a clip if there are any."""

    id: str
    """Of the detection: `/detections/{id}` and `/clips/{id}` have the rest."""
    start: str
    """ISO time with the offset of the station's zone."""
    score: float
    source: str


class HourRecord(Record):
    """An hour of a day. On a day that clocks are set back one is there twice."""

    start: str
    """ISO time with the offset of the station's zone, as `end`."""
    end: str


class HeardRecord(Record):
    """A species on a day."""

    scientific_name: str
    common_name: str
    species_code: str
    detections: int
    by_hour: list[int]
    """How many began in each of the day's `hours`."""
    first: str
    """When it was first heard: ISO time, as `last`, the end of the last detection."""
    last: str
    is_first_ever: bool
    is_first_of_year: bool
    best: BestRecord


class ListeningRecord(Record):
    """What became of the time of a source: all in seconds."""

    source: str
    expected_seconds: float
    captured_seconds: float
    analysed_seconds: float
    lost_seconds: dict[str, float]
    """By cause, as are the two below."""
    skipped_seconds: dict[str, float]
    off_seconds: dict[str, float]
    """The daemon did not run: by how it had ended."""


class ListeningHourRecord(ListeningRecord):
    """A part of it."""

    start: str
    """ISO time with the offset of the station's zone, as `end`."""
    end: str


class SourceDayRecord(ListeningRecord):
    """A source's day, as the ledger has it."""

    hours: list[ListeningHourRecord]
    """The hours that the ledger knows; of what is older than 400 days, it knows the day as a whole."""


class DayDetailRecord(Record):
    """A day, whole."""

    day: date
    start: str
    """Its first moment, and the first of the next day: ISO times with the offset of the station's zone."""
    end: str
    hours: list[HourRecord]
    """24, or 23 or 25 where clocks change."""
    species: list[HeardRecord]
    """The most frequent first."""
    listening: list[SourceDayRecord]


@router.get("/days", responses={422: {"model": Trouble}})
def list_days(
    house: TheHouse,
    database: Reading,
    since: Annotated[
        date | None,
        Query(ge=FIRST_DAY, le=LAST_DAY, description="The first day; 30 days before `until` when left out."),
    ] = None,
    until: Annotated[
        date | None, Query(ge=FIRST_DAY, le=LAST_DAY, description="The last day; today when left out.")
    ] = None,
    source: ASource = None,
) -> list[DayRecord]:
    """The days on which it listened or anything was heard, oldest first; 366 days at most."""
    zone = house.zone()
    last = until or min(max(datetime.now(zone).date(), FIRST_DAY), LAST_DAY)
    first = since or max(FIRST_DAY, last - timedelta(days=A_MONTH))
    if last < first or (last - first).days >= MOST_DAYS:
        raise HTTPException(422, f"until: {last} is not from 0 to {MOST_DAYS - 1} days after {first}.")
    counts = {one.day: one for one in seasons.days(database, first, last, source)}
    heard = ledger.heard_by_day(database, Day.of(first, zone).since, Day.of(last, zone).until, zone, source)
    return [
        DayRecord(
            day=day,
            species=counts[day].species if day in counts else 0,
            detections=counts[day].detections if day in counts else 0,
            heard_seconds=round(heard.get(day, 0.0), 3),
        )
        for day in sorted(counts.keys() | heard.keys())
        if first <= day <= last
    ]


@router.get("/days/{day}")
def one_day(
    house: TheHouse,
    database: Reading,
    day: Annotated[date, Path(ge=FIRST_DAY, le=LAST_DAY, examples=["2026-05-09"])],
    source: ASource = None,
) -> DayDetailRecord:
    """Everything of a day: the species with their hours, and what became of the time."""
    zone = house.zone()
    the_day = Day.of(day, zone)
    heard = days.heard(database, the_day, source)
    new = days.newcomers(database, day, [one.label.scientific_name for one in heard])
    entries = ledger.between(database, the_day.since - HOUR, the_day.until)
    return DayDetailRecord(
        day=day,
        start=local(the_day.since, zone),
        end=local(the_day.until, zone),
        hours=[HourRecord(start=local(one.start, zone), end=local(one.end, zone)) for one in the_day.hours],
        species=[_heard_record(one, new.get(one.label.scientific_name, ""), zone) for one in heard],
        listening=[
            _source_record(one, zone)
            for one in ribbons(entries, the_day, datetime.now(zone))
            if source in (None, one.source)
        ],
    )


def local(moment: datetime, zone: tzinfo) -> str:
    """As all times of the API."""
    return moment.astimezone(zone).isoformat(timespec="milliseconds")


def best_record(best: Best, zone: tzinfo) -> BestRecord:
    """The same for the API."""
    return BestRecord(
        id=best.id, start=local(best.start, zone), score=round(best.score, 4), source=best.source
    )


def _heard_record(heard: Heard, newcomer: str, zone: tzinfo) -> HeardRecord:
    return HeardRecord(
        scientific_name=heard.label.scientific_name,
        common_name=heard.label.common_name,
        species_code=heard.label.code,
        detections=heard.detections,
        by_hour=list(heard.hours),
        first=local(heard.first, zone),
        last=local(heard.last, zone),
        is_first_ever=newcomer == "ever",
        is_first_of_year=bool(newcomer),
        best=best_record(heard.best, zone),
    )


def _source_record(ribbon: Ribbon, zone: tzinfo) -> SourceDayRecord:
    return SourceDayRecord(
        source=ribbon.source,
        **ribbon.balance.to_record(),
        hours=[
            ListeningHourRecord(
                source=ribbon.source,
                **one.balance.to_record(),
                start=local(one.start, zone),
                end=local(one.end, zone),
            )
            for one in ribbon.columns
        ],
    )
