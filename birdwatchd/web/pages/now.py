"""What is heard now: a picture of every source's sound while it comes, and what it is taken for."""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse

from birdwatchd.actions.spectrogram import COLOURS
from birdwatchd.errors import StoreError
from birdwatchd.record import to_record
from birdwatchd.store import detections
from birdwatchd.store.database import Database
from birdwatchd.web.house import House
from birdwatchd.web.live import Live, to_words
from birdwatchd.web.pictures import PAPER
from birdwatchd.web.reading import TheHouse
from birdwatchd.web.rendering import page
from birdwatchd.web.viewer import Viewer
from birdwatchd.web.visitor import Visitor

if TYPE_CHECKING:
    from birdwatchd.domain import Detection

NEWEST = 12
"""So many of the last detections are shown."""
VIEWERS = 64
"""More open pages than that are sent away: a browser that has gone mad must not take the station with it."""
TRY_AGAIN_LATER, NOT_ANY_MORE = 1013, 1008
SAID_AT_MOST = 20_000
"""A viewer only ever names sources."""

router = APIRouter(default_response_class=HTMLResponse)


@router.get("/")
def now(request: Request, house: TheHouse) -> Response:
    """The page; what moves on it comes over the WebSocket."""
    return page(
        request,
        "now.html",
        title="Now",
        status_now=house.status(),
        newest=_newest(house),
        night=json.dumps(COLOURS),
        paper=json.dumps(PAPER),
    )


@router.websocket("/live")
async def live(websocket: WebSocket) -> None:
    """JSON with one name each (`hello`, `state`, `detection`), and columns (live.py) of the sources that are watched.

    The other side says `{"watch": ["garden"]}` when what is on its screen changes.
    """
    house: House = websocket.app.state.house
    picture: Live = websocket.app.state.live
    if not _is_opened_by_our_page(websocket):
        await websocket.close()  # before it is accepted: the browser is told 403
        return
    await websocket.accept()
    if picture.viewers >= VIEWERS:
        await websocket.close(TRY_AGAIN_LATER, "too many look already")
        return
    viewer = Viewer()
    async with picture.seen_by(viewer):
        viewer.tell(to_words("hello", await asyncio.to_thread(_hello, house)))
        async with asyncio.TaskGroup() as both:
            tasks = [both.create_task(_send(websocket, viewer)), both.create_task(_hear(websocket, viewer))]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()


def _is_opened_by_our_page(websocket: WebSocket) -> bool:
    """A cookie knows of no port: another program's page at this machine would bring it along, too.

    (Its origin says so, but behind a proxy that is not always ours.)
    """
    visitor: Visitor = websocket.state.visitor
    brought = websocket.query_params.get("csrf", "")
    return visitor.kind != "session" or hmac.compare_digest(brought.encode(), visitor.csrf.encode())


async def _send(websocket: WebSocket, viewer: Viewer) -> None:
    try:
        while True:
            message = await viewer.next()
            if not websocket.state.is_welcome():  # there is a message every second
                await websocket.close(NOT_ANY_MORE, "logged out")
                return
            if isinstance(message, str):
                await websocket.send_text(message)
            else:
                await websocket.send_bytes(message)
    except WebSocketDisconnect:
        return


async def _hear(websocket: WebSocket, viewer: Viewer) -> None:
    try:
        while True:
            said = await websocket.receive_text()
            viewer.watched = _watched(said)
    except (WebSocketDisconnect, KeyError):  # it went, or it speaks in bytes
        return


def _watched(said: str) -> tuple[str, ...]:
    """The sources that it wants to see; none if it makes no sense."""
    try:
        names = json.loads(said)["watch"] if len(said) <= SAID_AT_MOST else ()
        return tuple(sorted({name for name in names if isinstance(name, str)}))
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()


def _newest(house: House) -> list[Detection]:
    """The newest first."""
    try:
        with Database.open(house.database, read_only=True) as database:
            return list(detections.find(database, detections.Choice(), newest=NEWEST))[::-1]
    except StoreError:
        return []  # the state says what is wrong with it


def _hello(house: House) -> dict[str, Any]:
    zone = house.zone()
    return {"newest": [to_record(one, zone) for one in _newest(house)]}
