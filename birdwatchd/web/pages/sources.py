"""Sources: what listens, what became of the time, what is scheduled, and what waits."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from birdwatchd.web.reading import TheHouse
from birdwatchd.web.rendering import page

router = APIRouter(default_response_class=HTMLResponse)


@router.get("/sources", name="sources")
def sources(request: Request, house: TheHouse) -> HTMLResponse:
    """How the station does."""
    return page(request, "sources.html", title="Sources", status_now=house.status())
