"""A child ffmpeg that turns an address into samples on a pipe."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import selectors
import signal
import subprocess
import time
from collections import deque
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from birdwatchd.config.opening import environment, opening

if TYPE_CHECKING:
    from birdwatchd.config.schema import StreamSource

PIECE_BYTES = 1 << 16
COMPLAINT_LINES = 5
LAST_WORDS_SECONDS = 0.5
"""For what it still has to say when its sound has ended."""
ENDING_SECONDS = 1.0
"""For a goodbye: cameras count sessions, and an RTSP session that is not torn down goes on counting."""


def command(config: StreamSource) -> tuple[list[str], bytes]:
    """The arguments that make ffmpeg write the stream's sound to its stdout as s16le mono, and what it reads on its stdin."""
    patience = str(round(config.stall_seconds * 1e6))  # microseconds
    url = config.url.get_secret_value()
    scheme = urlsplit(url).scheme.lower()
    options: list[str] = []
    if scheme in ("rtsp", "rtsps"):
        options = ["-rtsp_transport", "tcp", _rtsp_timeout_option(), patience]
    elif scheme in ("http", "https", "tcp", "tls", "rtmp", "rtmps"):
        options = ["-rw_timeout", patience]
    if config.channel == "mix":
        mono = ["-ac", "1"]
    else:
        # Unlike `pan` it complains when there is no such channel.
        mono = ["-af", f"channelmap=map={config.channel - 1}:channel_layout=mono"]
    opened = opening(url, options, config.ffmpeg_options)
    arguments = [
        *("ffmpeg", "-nostdin", "-nostats", "-hide_banner", "-loglevel", "warning"),
        *(*opened.words, "-vn", *mono, "-ar", str(config.sample_rate), "-f", "s16le", "-"),
    ]
    return arguments, opened.given


@functools.cache
def _rtsp_timeout_option() -> str:
    """`-timeout`; before ffmpeg 5 that one made it wait for a caller instead, and `-stimeout` was meant."""
    listing = subprocess.run(
        ["ffmpeg", "-hide_banner", "-h", "demuxer=rtsp"],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return "-stimeout" if "-stimeout" in listing.stdout else "-timeout"


class Ffmpeg:
    """A running child, in a process group of its own. Use it as a context manager: it ends with it, whatever it does."""

    def __init__(self, arguments: list[str], given: bytes = b"") -> None:
        """Start it; `given` is what it can read on its stdin.

        Raises:
            OSError: it cannot be started.
        """
        self.complaints: deque[str] = deque(maxlen=COMPLAINT_LINES)
        """The last lines it wrote to its stderr."""
        self._line = b""
        with os.fdopen(os.memfd_create("given"), "r+b", buffering=0) as file:
            file.write(given)
            file.seek(0)
            self._child = subprocess.Popen(
                arguments,
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=environment(),
                start_new_session=True,
            )
        assert self._child.stdout is not None  # noqa: S101 - both are pipes
        assert self._child.stderr is not None  # noqa: S101
        self._sound = self._child.stdout
        self._talk = self._child.stderr
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._sound, selectors.EVENT_READ)
        self._selector.register(self._talk, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def read(self, seconds: float) -> bytes | None:
        """The next bytes of sound: empty at the end, None when none came within `seconds`."""
        sound = None
        for key, _ in self._selector.select(seconds):
            piece = os.read(key.fd, PIECE_BYTES)
            if key.fileobj is self._sound:
                sound = piece
            elif piece:
                self._note(piece)
            else:
                self._selector.unregister(self._talk)
        if sound == b"":
            self._hear_out()
        return sound

    def _hear_out(self) -> None:
        """It has ended: what it said at last is worth a moment, for it says why."""
        until = time.monotonic() + LAST_WORDS_SECONDS
        with selectors.DefaultSelector() as talking:
            talking.register(self._talk, selectors.EVENT_READ)
            while (left := until - time.monotonic()) > 0 and talking.select(left):
                piece = os.read(self._talk.fileno(), PIECE_BYTES)
                if not piece:
                    return
                self._note(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGTERM)
        # It may be waiting for room in a pipe that nobody reads any more.
        self._sound.close()
        try:
            self._child.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            # One that the kernel does not let go (a dead network disk) is left behind: the next child may fare better.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(ENDING_SECONDS)
        self._selector.close()
        self._talk.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._child.poll() is None:
            # It may end in between; until it is waited for, its id is nobody else's.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)

    def _note(self, piece: bytes) -> None:
        *lines, rest = (self._line + piece).split(b"\n")
        self._line = rest[-1000:]
        for line in lines:
            text = line.decode(errors="replace").strip()
            if text:
                # Without the address in memory, which makes the same complaint look new each time.
                self.complaints.append(re.sub(r" @ 0x[0-9a-f]+\]", "]", text))
