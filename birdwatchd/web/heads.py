"""HEAD: what GET would answer, without what follows the head."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    """Whatever answers to GET answers to HEAD, and need not know of it: it is asked with GET, and not listened to to the end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        told = asyncio.Event()

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                told.set()  # not before: whoever hears of a disconnection stops sending

        pieces: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive_once() -> Message:
            if pieces:
                return pieces.pop()
            # Whoever asked has all that it wanted: an answer without an end is ended by that.
            await told.wait()
            return {"type": "http.disconnect"}

        await self._app({**scope, "method": "GET"}, receive_once, send_head)
