"""Server-sent events: each detection as it starts and as it ends, for programs that keep listening."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Query, Request
from starlette.responses import StreamingResponse

from birdwatchd.config.species import matches
from birdwatchd.domain import Detection
from birdwatchd.errors import StoreError
from birdwatchd.record import to_record
from birdwatchd.store.cursor import LONGEST, Cursor
from birdwatchd.store.database import Database
from birdwatchd.web.house import House
from birdwatchd.web.reading import TheHouse

HEARTBEAT_SECONDS = 15.0
"""When nothing is heard for so long, a line says that the connection still stands."""
RETRY_MS = 3000
"""After so long whoever was cut off should come again."""
AT_ONCE = 500
"""So many detections are read together when there is much to catch up with."""
LISTENERS = 64
LOST = "events were missed: the place to go on from is not in the database"
EXAMPLE = """\
retry: 3000

id: 6a3c5b1f0e2d4c8a9b7e.6a3c5b1f0e2d4c8a9b7e
event: started
data: {"start": "2026-05-09T06:42:10.250+02:00", "common_name": "Great Tit", "score": 0.93, "state": "started", …}

: listening
"""

router = APIRouter(tags=["events"])

Names = Annotated[list[Annotated[str, Query(max_length=200)]], Query(max_length=50)]


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE}}},
        503: {"description": "Too many listen already, or the database cannot be read."},
    },
)
async def events(
    *,
    request: Request,
    house: TheHouse,
    species: Annotated[Names, Query(description="Common or scientific names, `*` for anything.")] = [],  # noqa: B006 - FastAPI copies it
    source: Annotated[Names, Query(description="Of these sources only.")] = [],  # noqa: B006 - as above
    after: Annotated[
        str | None,
        Query(max_length=LONGEST, description="The id of an event, to go on from there; as `Last-Event-ID`."),
    ] = None,
    last_event_id: Annotated[str | None, Header(max_length=LONGEST)] = None,
) -> StreamingResponse:
    """A stream that does not end: an event `started` or `ended` for each detection.

    Who was cut off and sends the id of its last event as `Last-Event-ID`, as browsers do by themselves, gets what it missed,
    each detection in its present state, however long it was away; also when birdwatchd was started again meanwhile. When the
    database has been replaced, an event `lost` says that something may be missing.
    """
    said = last_event_id if last_event_id is not None else after
    cursor = None if said is None else Cursor.parse(said)
    if said is not None and cursor is None:
        raise HTTPException(422, "Last-Event-ID: this is not the id of an event")
    if house.news.readers >= LISTENERS:
        raise HTTPException(503, f"{LISTENERS} listen already; try again later")
    if cursor is None:
        cursor = await asyncio.to_thread(_end, house)
    return StreamingResponse(
        _stream(
            house,
            cursor,
            request.app.state.ending,
            request.state.is_welcome,
            species=tuple(species),
            sources=frozenset(source),
        ),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(
    house: House,
    cursor: Cursor,
    ending: asyncio.Event,
    is_welcome: Callable[[], bool],
    *,
    species: tuple[str, ...] = (),
    sources: frozenset[str] = frozenset(),
) -> AsyncGenerator[str]:
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def wake(_: Detection) -> None:
        with suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(news.set)

    with house.news.heard_by(wake):
        yield f"retry: {RETRY_MS}\n{_place(cursor)}"
        # A logout ends it, too: at the next news or heartbeat, and before anything more is told.
        while is_welcome() and not ending.is_set():
            news.clear()
            # What is told is what the database has: so each event is a place to go on from.
            found = await asyncio.to_thread(_later, house, cursor)
            if found is None:
                cursor = await asyncio.to_thread(_end, house)
                yield f"event: lost\ndata: {json.dumps({'detail': LOST})}\n{_place(cursor)}"
                continue
            for one in found:
                cursor = cursor.past(one)
                if (not sources or one.source in sources) and (
                    not species or any(matches(pattern, one.label) for pattern in species)
                ):
                    record = json.dumps(to_record(one, house.zone()), ensure_ascii=False)
                    yield f"event: {one.state}\ndata: {record}\n{_place(cursor)}"
            if found:
                continue
            if not await _any(news, ending, seconds=HEARTBEAT_SECONDS):
                # With the place: what was passed over for its species need not be looked at again.
                yield f": listening\n{_place(cursor)}"


async def _any(*happenings: asyncio.Event, seconds: float) -> bool:
    """Wait for one of them; False when none came in time."""
    waiting = [asyncio.create_task(one.wait()) for one in happenings]
    try:
        done, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    return bool(done)


def _place(cursor: Cursor) -> str:
    """The end of an event, or of none."""
    return f"id: {cursor}\n\n"


def _end(house: House) -> Cursor:
    with Database.open(house.database, read_only=True) as database:
        return Cursor.at_end(database)


def _later(house: House, cursor: Cursor) -> list[Detection] | None:
    try:
        with Database.open(house.database, read_only=True) as database:
            return cursor.later(database, AT_ONCE)
    except StoreError:
        return []  # it may be begun anew just now; the health says what is wrong with it
