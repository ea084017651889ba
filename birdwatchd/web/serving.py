"""uvicorn, which tells those whose answers have no end that this is it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import asyncio
    import socket


class Serving(uvicorn.Server):
    """Otherwise an open stream of events would be waited for, and then cut off with a complaint."""

    def __init__(self, config: uvicorn.Config, ending: asyncio.Event) -> None:
        """`ending` is set, on the server's loop, when it is to end."""
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by the server itself."""
        self._ending.set()
        await super().shutdown(sockets)
