"""The API, for people: every path with an example. Made of the same description that programs get."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from birdwatchd.web.openapi import groups, records
from birdwatchd.web.reading import TheHouse
from birdwatchd.web.rendering import page

router = APIRouter(default_response_class=HTMLResponse)


@router.get("/api")
def api(request: Request, house: TheHouse) -> HTMLResponse:
    """What a program can ask."""
    schema, config = request.app.openapi(), house.config().web
    return page(
        request,
        "api.html",
        title="API",
        groups=groups(schema),
        records=records(schema),
        base=str(request.base_url).rstrip("/"),
        takes_token=config is not None and (config.password is not None or bool(config.tokens)),
    )
