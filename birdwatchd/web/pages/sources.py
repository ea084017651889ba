"""Sources: what listens, what became of the time, what is scheduled, and what waits."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from birdwatchd.errors import StoreError
from birdwatchd.store.database import Database
from birdwatchd.web.balance import causes, last_days
from birdwatchd.web.reading import TheHouse
from birdwatchd.web.rendering import page

DAYS = 14

router = APIRouter(default_response_class=HTMLResponse)


@router.get("/sources")
def sources(request: Request, house: TheHouse) -> HTMLResponse:
    """How the station does; also when its database is in trouble, which is told then."""
    trouble = ""
    try:
        with Database.open(house.database, read_only=True) as database:
            days = last_days(database, house.zone(), DAYS, datetime.now(UTC))
    except StoreError as error:
        days, trouble = {}, str(error)
    return page(
        request,
        "sources.html",
        title="Sources",
        station=house.status(),
        days=days,
        trouble=trouble,
        causes=causes,
    )
