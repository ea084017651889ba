"""A day: which species, when, how often, and when it listened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse

from birdwatchd.store import days, ledger, reviews
from birdwatchd.store.counts import is_counted
from birdwatchd.store.days import FIRST_DAY, LAST_DAY, Day, Heard
from birdwatchd.store.kept import with_sound
from birdwatchd.web.heat import shade
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.rendering import page
from birdwatchd.web.ribbon import HOUR, Ribbon, hours, ribbons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birdwatchd.store.database import Database

router = APIRouter(default_response_class=HTMLResponse)

ADay = Annotated[date, Path(ge=FIRST_DAY, le=LAST_DAY)]
ASource = Annotated[str | None, Query(max_length=200)]
ALL_OF_A_DAY = 1000
"""Detections of one species, on its page of a day."""


@dataclass(frozen=True, slots=True)
class Line:
    """A species of the day, as the page shows it."""

    heard: Heard
    shades: tuple[int, ...]
    """Of each hour."""
    newcomer: str
    """`ever`, `year` or nothing."""
    has_sound: bool

    def in_words(self, day: Day) -> str:
        """Its hours, for whoever cannot see them."""
        return ", ".join(
            f"{hour.start:%H:%M} {count}"
            for hour, count in zip(day.hours, self.heard.hours, strict=True)
            if count
        )


@router.get("/today")
def today(request: Request, house: TheHouse, database: Reading, source: ASource = None) -> HTMLResponse:
    """The day that it is at the station."""
    return _show(request, house, database, _now(house).date(), source)


@router.get("/day")
def any_day(request: Request, day: Annotated[date, Query(ge=FIRST_DAY, le=LAST_DAY)]) -> RedirectResponse:
    """The one that was chosen in the calendar of the browser."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/day/{day}", 303)


@router.get("/day/{day}")
def one_day(
    request: Request, house: TheHouse, database: Reading, day: ADay, source: ASource = None
) -> HTMLResponse:
    """Any day."""
    return _show(request, house, database, day, source)


@router.get("/day/{day}/{scientific_name:path}")
def species_of_a_day(
    request: Request,
    house: TheHouse,
    database: Reading,
    day: ADay,
    scientific_name: Annotated[str, Path(max_length=200)],
) -> HTMLResponse:
    """Every detection of one species on one day."""
    the_day = Day.of(day, house.zone())
    found = days.of_species(database, the_day, scientific_name, ALL_OF_A_DAY)
    if not found:
        raise HTTPException(404, f"On {day} no '{scientific_name}' was detected.")
    return page(
        request,
        "day_species.html",
        title=f"{found[-1].label.common_name}, {day}",
        day=day,
        label=found[-1].label,
        detections=found,
        is_all=len(found) < ALL_OF_A_DAY,
        rejected=reviews.rejected(database, [one.id for one in found]),
        with_sound=with_sound(house.clips_folder, [one.clip_path for one in found if not one.voice]),
    )


def _now(house: TheHouse) -> datetime:
    return datetime.now(house.zone())


def _show(
    request: Request, house: TheHouse, database: Database, day: date, source: str | None
) -> HTMLResponse:
    now = _now(house)
    the_day = Day.of(day, house.zone())
    heard = days.heard(database, the_day, source)
    entries = ledger.between(database, the_day.since - HOUR, the_day.until)
    drawn = [one for one in ribbons(entries, the_day, now) if source in (None, one.source)]
    known = days.sources(database)
    lines = _lines(house, database, the_day, heard)
    return page(
        request,
        "day.html",
        title="Today" if day == now.date() else f"{day:%a} {day.day} {day:%b %Y}",
        day=the_day,
        is_today=day == now.date(),
        is_future=the_day.since > now,
        now_share=(now - the_day.since) / (the_day.until - the_day.since),
        before=day - timedelta(days=1),
        after=day + timedelta(days=1) if the_day.until <= now else None,
        lines=lines,
        most=max((count for one in heard for count in one.hours), default=0),
        detections=sum(one.detections for one in heard),
        new=[line for line in lines if line.newcomer],
        ribbons=drawn,
        listened=hours(seconds) if (seconds := _listened(drawn)) > 0 else "",
        sources=known,
        source=source,
        is_counted=is_counted(database, house.zone()),
        ever=bool(heard) or bool(known),
    )


def _lines(house: TheHouse, database: Database, day: Day, heard: Sequence[Heard]) -> list[Line]:
    most = max((count for one in heard for count in one.hours), default=0)
    new = days.newcomers(database, day.day, [one.label.scientific_name for one in heard])
    there = with_sound(house.clips_folder, [one.best.clip_path for one in heard])
    return [
        Line(
            heard=one,
            shades=tuple(shade(count, most) for count in one.hours),
            newcomer=new.get(one.label.scientific_name, ""),
            has_sound=one.best.clip_path in there,
        )
        for one in heard
    ]


def _listened(drawn: Sequence[Ribbon]) -> float:
    """For how many seconds the source was heard that was heard longest."""
    return max((one.balance.captured - sum(one.balance.skipped.values()) for one in drawn), default=0.0)
