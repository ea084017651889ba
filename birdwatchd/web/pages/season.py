"""Months and years: who was there when, how each day was, and the first of the year."""

from __future__ import annotations

import calendar as months
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from starlette.responses import HTMLResponse

from birdwatchd.store import ledger, seasons
from birdwatchd.store.counts import is_counted
from birdwatchd.store.days import FIRST_DAY, LAST_DAY, Day, sources
from birdwatchd.store.kept import with_sound
from birdwatchd.web.heat import even_shade, strip
from birdwatchd.web.pages.day import ASource
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.rendering import page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from birdwatchd.domain import Label
    from birdwatchd.store.database import Database

router = APIRouter(default_response_class=HTMLResponse)

AYear = Annotated[int, Path(ge=FIRST_DAY.year, le=LAST_DAY.year)]
Order = Literal["most", "first", "name"]
WEEK = 7
WEEKS = 53
"""From the first of January on: the last one has a day or two."""
_LISTENED_SECONDS = 600.0
"""A day on which it listened for less is one on which it did not."""


@dataclass(frozen=True, slots=True)
class Line:
    """A species in a year."""

    label: Label
    detections: int
    first: date
    last: date
    paths: list[tuple[int, str]]
    words: str


@dataclass(frozen=True, slots=True)
class Square:
    """A day of the calendar."""

    day: date
    shade: int
    words: str
    is_linked: bool


@router.get("/season")
def this_season(
    request: Request, house: TheHouse, database: Reading, order: Order = "most", source: ASource = None
) -> HTMLResponse:
    """The newest year that has anything."""
    return season(request, house, database, _newest(house, database), order, source)


@router.get("/season/{year}")
def season(  # noqa: PLR0917 - FastAPI gives them by name
    request: Request,
    house: TheHouse,
    database: Reading,
    year: AYear,
    order: Order = "most",
    source: ASource = None,
) -> HTMLResponse:
    """Species by week."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    found = seasons.seasons(database, first, last, source)
    heard = _heard(house, database, year, source)
    weeks = {one.label.scientific_name: by_week(one.days) for one in found}
    most = max((count for counts in weeks.values() for count in counts), default=0)
    lines = [
        Line(
            label=one.label,
            detections=one.detections,
            first=one.days[0][0],
            last=one.days[-1][0],
            paths=strip(weeks[one.label.scientific_name], most),
            words=by_month(one.days),
        )
        for one in found
    ]
    keys = {
        "most": lambda line: (-line.detections, line.label.common_name),
        "first": lambda line: (line.first, line.label.common_name),
        "name": lambda line: line.label.common_name.casefold(),
    }
    return page(
        request,
        "season.html",
        title=f"Season {year}",
        lines=sorted(lines, key=keys[order]),
        most=most,
        order=order,
        orders={"most": "Most frequent", "first": "First heard", "name": "Name"},
        deaf=deaf_weeks(heard, year, datetime.now(house.zone()).date()),
        month_names=[months.month_abbr[month] for month in range(1, 13)],
        sources=sources(database),
        source=source,
        **_common(house, database, year),
    )


@router.get("/calendar/{year}")
def calendar(
    request: Request, house: TheHouse, database: Reading, year: AYear, source: ASource = None
) -> HTMLResponse:
    """The days of a year."""
    counts = {one.day: one for one in seasons.days(database, date(year, 1, 1), date(year, 12, 31), source)}
    heard = _heard(house, database, year, source)
    most = max((one.species for one in counts.values()), default=0)
    return page(
        request,
        "calendar.html",
        title=f"Calendar {year}",
        months=[
            (
                months.month_name[month],
                [
                    [
                        _square(day, counts.get(day), heard.get(day, 0.0), most)
                        if day.month == month
                        else None
                        for day in week
                    ]
                    for week in months.Calendar().monthdatescalendar(year, month)
                ],
            )
            for month in range(1, 13)
        ],
        most=most,
        is_empty=not counts and not heard,
        today=datetime.now(house.zone()).date(),
        weekdays=[(months.day_abbr[day], months.day_name[day]) for day in range(WEEK)],
        **_common(house, database, year),
    )


@router.get("/firsts/{year}")
def firsts(request: Request, house: TheHouse, database: Reading, year: AYear) -> HTMLResponse:
    """The first detection of each species in a year, the newest arrival first."""
    found = seasons.firsts(database, year, house.zone())
    return page(
        request,
        "firsts.html",
        title=f"First of the year {year}",
        firsts=found,
        with_sound=with_sound(house.clips_folder, [one.detection.clip_path for one in found]),
        **_common(house, database, year),
    )


def by_week(counts: Iterable[tuple[date, int]]) -> list[int]:
    """Of the days of one year: how many there were in each of its weeks, counted from the first of January."""
    weeks = [0] * WEEKS
    for day, count in counts:
        weeks[(day.timetuple().tm_yday - 1) // WEEK] += count
    return weeks


def by_month(counts: Iterable[tuple[date, int]]) -> str:
    """In words, for whoever cannot see the strip."""
    of_months = [0] * 13
    for day, count in counts:
        of_months[day.month] += count
    return ", ".join(f"{months.month_name[month]} {count}" for month, count in enumerate(of_months) if count)


def deaf_weeks(heard: Mapping[date, float], year: int, today: date) -> str:
    """A path over the weeks until today in which it did not listen: nothing can have been heard then."""
    listened = [0.0] * WEEKS
    for day, seconds in heard.items():
        if day.year == year:
            listened[(day.timetuple().tm_yday - 1) // WEEK] += seconds
    return "".join(
        f"M{week} 0h1v1h-1z"
        for week, seconds in enumerate(listened)
        if seconds < _LISTENED_SECONDS and date(year, 1, 1) + timedelta(days=week * WEEK) <= today
    )


def _square(day: date, found: seasons.DayCount | None, heard: float, most: int) -> Square:
    said = f"{day:%A} {day.day} {day:%B}: "
    if found is None:
        said += "nothing reported" if heard >= _LISTENED_SECONDS else "did not listen"
        return Square(day, 0, said, is_linked=heard > 0)
    said += f"{found.species} species, {found.detections} detections"
    return Square(day, even_shade(found.species, most), said, is_linked=True)


def _heard(house: TheHouse, database: Database, year: int, source: str | None) -> dict[date, float]:
    zone = house.zone()
    since, until = Day.of(date(year, 1, 1), zone).since, Day.of(date(year, 12, 31), zone).until
    return ledger.heard_by_day(database, since, until, zone, source)


def _newest(house: TheHouse, database: Database) -> int:
    return next(iter(seasons.years(database)), datetime.now(house.zone()).year)


def _common(house: TheHouse, database: Database, year: int) -> dict[str, Any]:
    there = seasons.years(database)
    return {
        "year": year,
        "years": there if year in there else sorted([*there, year], reverse=True),
        "is_counted": is_counted(database, house.zone()),
    }
