"""Why not? A moment is picked, and every candidate near it is shown with the gate that stopped it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from birdwatchd.errors import UserError
from birdwatchd.web.asking import Asked, ask
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.rendering import page
from birdwatchd.web.story import GATES

router = APIRouter(default_response_class=HTMLResponse)

REACHES = {"10s": "10 s", "60s": "1 min", "5m": "5 min", "15m": "15 min"}
"""As they are asked, and as people read them."""


@router.get("/why")
def why(
    *,
    request: Request,
    house: TheHouse,
    database: Reading,
    at: Annotated[str, Query(max_length=40)] = "",
    within: Annotated[str, Query(max_length=20)] = "60s",
    species: Annotated[str, Query(max_length=200)] = "",
    source: Annotated[str, Query(max_length=200)] = "",
) -> HTMLResponse:
    """The question, and the answer below it."""
    asked: Asked | None = None
    trouble = ""
    if at:
        try:
            asked = ask(
                house,
                database,
                at=at,
                within=within,
                species=[species] if species.strip() else [],
                sources=[source] if source else [],
            )
        except UserError as error:
            trouble = str(error)

    def address(moment: datetime) -> str:
        """The address of the same question about another moment."""
        local = moment.astimezone(house.zone()).isoformat(timespec="seconds")
        return f"?{urlencode({'at': local, 'within': within, 'species': species, 'source': source})}"

    groups = (
        []
        if asked is None
        else sorted(asked.answer.groups, key=lambda group: (not group.is_reported, -group.best.score))
    )
    seen = {group.first.gate for group in groups}
    shown: dict[str, Any] = {
        "asked": asked,
        "trouble": trouble,
        "groups": groups,
        "gates": GATES,
        "seen": [gate for gate in GATES if gate in seen and gate != "detection"],
        "address": address,
        "reaches": REACHES | ({} if within in REACHES else {within: within}),
        "within": within,
        "species": species,
        "source": source,
        "sources": [one.name for one in house.config().sources],
        "local_now": datetime.now(UTC).astimezone(house.zone()).strftime("%Y-%m-%dT%H:%M:%S"),
    }
    return page(request, "why.html", status=422 if trouble else 200, title="Why not?", **shown)
