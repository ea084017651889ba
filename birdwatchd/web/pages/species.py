"""Species: all that were ever heard, and everything of one of them."""

from __future__ import annotations

import calendar as months
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request
from starlette.responses import HTMLResponse

from birdwatchd.store import species
from birdwatchd.store.counts import is_counted
from birdwatchd.store.database import Database
from birdwatchd.store.kept import with_sound
from birdwatchd.web.heat import shade, strip
from birdwatchd.web.pages.season import by_month, by_week
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.rendering import page

router = APIRouter(default_response_class=HTMLResponse)

LOOKED_AT = 60
"""So many of the best detections are looked at for some whose sound is still there."""
BEST, NEWEST = 6, 10


@router.get("/species")
def all_species(
    request: Request,
    house: TheHouse,
    database: Reading,
    search: Annotated[str, Query(max_length=100)] = "",
) -> HTMLResponse:
    """Every species that was ever heard here."""
    found = species.totals(database)
    wanted = search.strip().casefold()
    return page(
        request,
        "species_list.html",
        title="All species",
        totals=[
            one
            for one in found
            if wanted in one.label.common_name.casefold() or wanted in one.label.scientific_name.casefold()
        ],
        known=len(found),
        search=search.strip(),
        year=datetime.now(house.zone()).year,
        is_counted=is_counted(database, house.zone()),
    )


@router.get("/species/{scientific_name:path}")
def one_species(
    request: Request,
    house: TheHouse,
    database: Reading,
    scientific_name: Annotated[str, Path(max_length=200)],
) -> HTMLResponse:
    """One of them."""
    total = species.total(database, scientific_name)
    if total is None:
        return _none_was_right(request, database, scientific_name)
    days = species.days(database, scientific_name)
    years = sorted({day.year for day, _ in days}, reverse=True)
    weeks = {year: by_week([one for one in days if one[0].year == year]) for year in years}
    most_in_a_week = max((count for counts in weeks.values() for count in counts), default=0)
    hours = [[0] * 24 for _ in range(12)]
    for month, hour, count in species.hours(database, scientific_name):
        hours[month - 1][hour] = count
    most_in_an_hour = max(map(max, hours))
    best = species.best(database, scientific_name, LOOKED_AT)
    newest = species.newest(database, scientific_name, NEWEST)
    there = with_sound(house.clips_folder, [one.clip_path for one in best + newest])
    return page(
        request,
        "species.html",
        title=total.label.common_name,
        total=total,
        days=len(days),
        best_day=max(days, key=lambda one: one[1], default=None),
        years=[
            (
                year,
                strip(weeks[year], most_in_a_week),
                by_month([one for one in days if one[0].year == year]),
                sum(weeks[year]),
            )
            for year in years
        ],
        most_in_a_week=most_in_a_week,
        month_names=[months.month_abbr[month] for month in range(1, 13)],
        hours=[
            (
                months.month_abbr[month + 1],
                months.month_name[month + 1],
                counts,
                [shade(count, most_in_an_hour) for count in counts],
            )
            for month, counts in enumerate(hours)
        ],
        most_in_an_hour=most_in_an_hour,
        best=[one for one in best if one.clip_path in there][:BEST],
        newest=newest,
        with_sound=there,
        is_counted=is_counted(database, house.zone()),
    )


def _none_was_right(request: Request, database: Database, scientific_name: str) -> HTMLResponse:
    """What people come to from its detections, where each of them was judged to be wrong."""
    found = species.last_of_all(database, scientific_name)
    if found is None:
        raise HTTPException(404, f"No '{scientific_name}' was ever heard here.")
    common_name, last = found
    return page(
        request,
        "species_none.html",
        title=common_name,
        common_name=common_name,
        scientific_name=scientific_name,
        last=last,
    )
