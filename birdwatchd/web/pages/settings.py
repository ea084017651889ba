"""Settings: the config in force, secrets hidden. It is changed in its file alone."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from birdwatchd.web.reading import TheHouse
from birdwatchd.web.rendering import page
from birdwatchd.web.settings_shown import sections

router = APIRouter(default_response_class=HTMLResponse)


@router.get("/settings")
def settings(request: Request, house: TheHouse) -> HTMLResponse:
    """What the daemon goes by just now."""
    return page(
        request,
        "settings.html",
        title="Settings",
        file=house.status().config,
        sections=sections(house.config()),
    )
