"""A detection: its sound to look at and to hear, why it was reported, and what it set off."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import HTMLResponse

from birdwatchd.domain import Detection
from birdwatchd.errors import RecordingError
from birdwatchd.store import deliveries, detections, newest, reviews, traces
from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Entry
from birdwatchd.store.kept import Kept, open_kept
from birdwatchd.web.api.detections import AROUND
from birdwatchd.web.finding import NO_DETECTION, kept_of
from birdwatchd.web.house import House
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.rendering import page
from birdwatchd.web.sounds import NOT_SOUND, measured, why_missing
from birdwatchd.web.story import DATING, GATES, KINDS, gates_passed, told
from birdwatchd.web.strip import lay_out
from birdwatchd.web.words import Words
from birdwatchd.why import grouped

router = APIRouter(default_response_class=HTMLResponse)

Top = Literal["2", "4", "8", "15", "all"]
TOPS: dict[Top, float] = {"2": 2000.0, "4": 4000.0, "8": 8000.0, "15": 15_000.0, "all": 500_000.0}
_ID = re.compile("[0-9a-f]{20}")


@router.get("/detection/{identity}")
def detection(
    *,
    request: Request,
    identity: str,
    house: TheHouse,
    database: Reading,
    view: Literal["clip", "call"] = "clip",
    top: Top = "15",
    window: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None,
) -> HTMLResponse:
    """All that is known of it."""
    found = _found(database, identity)
    kept = kept_of(house, found)
    entries = deliveries.of(database, found.id)
    missing, seconds, rate = _heard(house, found, kept, entries)
    candidates = traces.of(database, found, AROUND)
    older, newer = newest.beside(database, found)
    # An earlier model may have divided time in another way.
    plan = house.plan() if found.model == house.model() else None
    words = Words(house.zone())

    def asked(**changes: Any) -> str:
        """The address of the same page, with something else asked."""
        those = {"view": view, "top": top, "window": window, **changes}
        return f"?{urlencode({name: value for name, value in those.items() if value is not None})}#strip"

    return page(
        request,
        "detection.html",
        title=found.label.common_name or found.label.scientific_name,
        found=found,
        kept=kept,
        missing=missing,
        strip=lay_out(
            found,
            kept.cut,
            candidates,
            plan,
            reach=view,
            high_hz=min(TOPS[top], rate / 2),
            window=window,
            clip_seconds=seconds,
        ),
        # Something about it is still to change: it goes on, or its sound is on its way.
        awaits=found.state == "started"
        or any(entry.kind == "bounded" and entry.delivery.status == "waiting" for entry in entries),
        view=view,
        top=top,
        tops=[
            one for one in TOPS if one == "all" or kept.cut is None or TOPS[one] <= kept.cut.sample_rate / 2
        ],
        window=window,
        asked=asked,
        windows=candidates,
        stopped=[group for group in grouped(candidates) if not group.is_reported],
        passed=gates_passed(found, house.config().deciding.species_range.minimum),
        gates=GATES,
        dating=DATING.get(found.dating, ""),
        deliveries=[(entry, told(entry, words), KINDS[entry.delivery.status]) for entry in entries],
        reviews=reviews.of(database, found.id),
        older=older,
        newer=newer,
        trace_days=house.config().store.trace_days,
    )


def _heard(
    house: House, found: Detection, kept: Kept, entries: list[Entry]
) -> tuple[str, float | None, float]:
    """Why it cannot be heard (empty when it can), how long it is in seconds where that is not known, and its rate in Hz."""
    file = None if kept.sound is None else open_kept(house.clips_folder, kept.sound)
    if file is None:
        return why_missing(found, entries), None, math.inf
    with file:
        try:
            seconds, rate = measured(file)
        except RecordingError:
            return NOT_SOUND, None, math.inf
    return "", seconds if kept.cut is None else None, rate


def _found(database: Database, identity: str) -> Detection:
    found = detections.get(database, identity) if _ID.fullmatch(identity) else None
    if found is None:
        raise HTTPException(404, NO_DETECTION)
    return found
