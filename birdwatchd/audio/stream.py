"""Anything that ffmpeg can open, as a source: cameras, radio, microphones elsewhere."""

from __future__ import annotations

import math
import random
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import numpy as np
import structlog

from birdwatchd.audio.clock import SampleClock
from birdwatchd.audio.ffmpeg import Ffmpeg, command
from birdwatchd.audio.intake import Intake
from birdwatchd.audio.mute import MUTE, Mute
from birdwatchd.audio.ring import Ring
from birdwatchd.audio.tended import Tended
from birdwatchd.config.address import redacted
from birdwatchd.config.secrets import Secrets
from birdwatchd.errors import StreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from birdwatchd.config.schema import StreamSource

logger = structlog.get_logger(__name__)

POLL_SECONDS = 0.1
SAMPLE_BYTES = 2
GATHER_SECONDS = 0.5
"""Servers begin with a burst of what was said before; it is collected, so that its first sample is not dated now."""
AHEAD_SECONDS = 10.0
"""So much may come faster than it sounds. A file behind an address would else overrun the ring in a moment."""
FASTEST = 1.001
"""A remote clock may be a little fast for ever; nothing that is live is faster than this."""
GOOD_SECONDS = 60.0
"""After so much sound the pauses between attempts start over."""
LONGEST_OPENING_SECONDS = 60.0
"""So long a child may take for its first sample, once those before it have taken too long: on a busy machine, or from a
camera that thinks, each one would else be ended just before it had something to say, for ever."""
MOST_TOLD = 20
"""So many kinds of faults are told while it is away."""
CONNECTING = "connecting"
"""The cause of the gap before the first sample, where the first attempt brings one."""


class Stream(Tended):
    """Listens through a child ffmpeg, and starts a new one whenever that ends or falls silent."""

    def __init__(
        self,
        config: StreamSource,
        *,
        ring_seconds: float,
        wake: Callable[[], None],
        first_sample: int = 0,
        shortest_pause_seconds: float = 1.0,
        longest_pause_seconds: float = 60.0,
    ) -> None:
        """Nothing is opened yet.

        Args:
            config: which address, and how.
            ring_seconds: how much sound is kept.
            wake: called after samples arrived.
            first_sample: the index of the first sample; that of a source before it goes on.
            shortest_pause_seconds: before the second attempt; the pauses double, and vary at random.
            longest_pause_seconds: between attempts.
        """
        super().__init__(config.name, config.site, fault="not connected yet", cause=CONNECTING)
        self._config = config
        self._url = config.url.get_secret_value()
        self._secrets = Secrets(config)
        self._ring_seconds = ring_seconds
        self._wake = wake
        self._first_sample = first_sample
        self._shortest_pause = shortest_pause_seconds
        self._longest_pause = longest_pause_seconds

    def start(self) -> None:
        """Begin to listen. A server that is away is no error.

        Raises:
            StreamError: there is no ffmpeg.
        """
        if shutil.which("ffmpeg") is None:
            raise StreamError(
                f"source {self.name}: ffmpeg is missing, which opens streams: `sudo apt-get install ffmpeg`"
            )
        rate = self._config.sample_rate
        first = self._first_sample
        self.ring = Ring(math.ceil(self._ring_seconds * rate), rate, first)
        # Networks deliver unevenly, and late is not lost.
        self.clock = SampleClock(rate, tolerance_seconds=2.0, settle_seconds=10.0, first=first)
        self._intake = Intake(self.ring, self.clock, self._wake)
        self._mute = Mute(self.ring)
        self._intake.interrupt(self._cause)
        self._thread.start()

    def stop(self) -> None:
        """End the child and the thread, within a few seconds."""
        self._stop_within(10)

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            try:
                cause, complaint = self._listen()
            except Exception as error:
                # The one place of this thread. It begins again, with another child.
                logger.exception("stream reader failed, it begins again", source=self.name)
                cause, complaint = "reader failed", str(error)
                self._helpless_since = min(self._helpless_since, time.monotonic())
            if not self._stopping.is_set():
                self._wait(cause, complaint)

    def _listen(self) -> tuple[str, str]:
        """Hear one child out. The cause of the gap that follows, and what the child complained of."""
        try:
            with Ffmpeg(*command(self._config)) as child:
                cause = self._hear(child)
                return cause, "; ".join(child.complaints)
        except (OSError, subprocess.SubprocessError) as error:
            return "stream gone", f"ffmpeg does not run: {error}"

    def _wait(self, cause: str, complaint: str) -> None:
        """Say what is wrong, and pause before the next attempt."""
        self._attempts += 1
        # The first cause stands: what follows from it (refused, once the server is gone) says less.
        self._cause = self._cause if self._cause not in ("", CONNECTING) else cause
        self._intake.interrupt(self._cause)
        pause = self._pause_seconds()
        fault = redacted(f"{cause}: {complaint}" if complaint else cause, self._url)
        fault = self._secrets.fit(fault)  # the other side has its say in it
        self._fault = fault
        kind = re.sub(r"[0-9]+", "#", fault)
        # Some servers have several reasons, in turn. Some have a new one each time.
        if kind not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(kind)
            logger.warning(
                "stream away", source=self.name, reason=fault, next_attempt_seconds=round(pause, 1)
            )
        self._stopping.wait(pause)

    def _hear(self, child: Ffmpeg) -> str:
        """Write what the child says into the ring, until it ends, falls silent, or `stop` is called.

        Returns:
            The cause of the gap that follows.
        """
        rate = self.ring.sample_rate
        # The ring holds a burst twice over, so that its reader has time for it.
        longest_seconds = self._ring_seconds / 2
        most_seconds = min(AHEAD_SECONDS, longest_seconds)
        most = round(most_seconds * rate)
        allowance = most_seconds  # of sound that may still come faster than it sounds
        pending = b""
        opened = heard = time.monotonic()
        began = 0.0
        written = 0
        piece: bytes | None = None
        while piece != b"" and not self._stopping.is_set():
            piece = child.read(POLL_SECONDS)
            now = time.monotonic()
            if piece is None and now - heard > (
                self._config.stall_seconds if began else self._opening_seconds()
            ):
                return "stalled"
            if piece:
                began = began or now
                # What comes too slowly may catch up at once, or all that follows would be late for hours.
                allowance = min(longest_seconds, allowance + (now - heard) * FASTEST)
                heard = now
                pending += piece
            count = min(len(pending) // SAMPLE_BYTES, most)
            gathering = written == 0 and count < most and now - began < GATHER_SECONDS and piece != b""
            if count == 0 or gathering:
                continue
            samples = np.frombuffer(pending, "<i2", count).astype(np.float32)
            samples /= 32768
            pending = pending[count * SAMPLE_BYTES :]
            self._intake.take(samples)
            self._intake.follow()
            if written == 0:
                self._say_open()
            elif now - opened > GOOD_SECONDS:
                self._attempts, self._helpless_since = 0, math.inf
            self._fault = self._cause = ""
            if self._mute.look():
                return MUTE
            written += count
            allowance -= count / rate
            if allowance < 0:
                self._stopping.wait(-allowance)
        return "stream gone"

    def _say_open(self) -> None:
        self._told.clear()
        if self._attempts:
            logger.warning("stream back", source=self.name, after=self._cause)
        else:
            logger.info("stream open", source=self.name, address=redacted(self._url, self._url))

    def _opening_seconds(self) -> float:
        """How long the first sample is waited for: twice as long after each attempt that brought none for good."""
        stall = self._config.stall_seconds
        doubled: float = stall * 2 ** min(self._attempts, 20)
        return min(doubled, max(stall, LONGEST_OPENING_SECONDS))

    def _pause_seconds(self) -> float:
        """Doubling, and at random, so that a hundred stations do not fall upon a server at once."""
        longest: float = min(self._longest_pause, self._shortest_pause * 2 ** min(self._attempts - 1, 20))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
