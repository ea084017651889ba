"""Answers with a file that is open already: what was looked at is what is sent, and no path is opened a second time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from starlette.responses import FileResponse

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

KEEP = "private, max-age=3600"
"""How long a browser may keep it without asking: a clip never changes, and may go."""


class HeldFile(FileResponse):
    """The file, whole or in the ranges that are asked for; it is closed afterwards."""

    def __init__(
        self, file: BinaryIO, *, media_type: str, filename: str, attachment: bool, tag: str = ""
    ) -> None:
        """`tag` is the same for the same content; made of the file's own date when left out."""
        headers = {"Cache-Control": KEEP} | ({"ETag": f'"{tag}"'} if tag else {})
        super().__init__(
            # The same file, under the name that the kernel gives to what is open.
            f"/proc/self/fd/{file.fileno()}",
            headers=headers,
            media_type=media_type,
            filename=filename,
            stat_result=os.fstat(file.fileno()),
            content_disposition_type="attachment" if attachment else "inline",
        )
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def in_memory(content: bytes) -> BinaryIO:
    """A file without a place on any disk."""
    file = os.fdopen(os.memfd_create("birdwatchd"), "w+b")
    file.write(content)
    file.flush()
    return file
