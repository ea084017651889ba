"""What plays known sound into a sound server, each sample at its time."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import subprocess
import threading
from typing import TYPE_CHECKING, Protocol, Self

from tests.soak.sound import RATE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tests.integration.soundserver import SoundServer

LEAD_SECONDS = 0.5
"""So far ahead the sound server is given what it plays."""
LATE_SECONDS = 0.4
"""Who could not give it for so long is late: soon there is nothing left to play."""
MARGIN_SECONDS = 1.0
"""At both ends of what one played, that is left out of account."""


class Sound(Protocol):
    """What is played."""

    def sound(self, start: int, stop: int) -> NDArray[np.int16]:
        """The samples from `start` on, before `stop`: int16 (n,)."""


class Time(Protocol):
    """When: its sample 0 sounds at 0."""

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""


class Player:
    """Use it as a context manager. It goes on when the sound server is back.

    `pacat` that was kept waiting would play on late for ever: it gives way to another one that is in time.
    """

    def __init__(self, server: SoundServer, scene: Sound, clock: Time) -> None:
        self._server, self._scene, self._clock = server, scene, clock
        self.steady: list[tuple[float, float]] = []
        """From when to when one was in time, in seconds since the beginning. Between them nobody can say what sounded."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def was_steady(self, start: float, stop: float) -> bool:
        """Whether all that was to sound then did, at its time; seconds since the beginning."""
        return any(first <= start and stop <= last for first, last in self.steady)

    def _play(self) -> None:
        words = [
            "pacat",
            "--playback",
            "--device=mic",
            "--format=s16le",
            "--rate=48000",
            "--channels=1",
            "--raw",
        ]
        while not self._stopping.is_set():
            player = subprocess.Popen(
                [*words, f"--latency-msec={LEAD_SECONDS * 1000:.0f}"],
                env=self._server.environment,
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            assert player.stdin is not None
            # What waits in the pipe is late without a sign: hardly anything fits in.
            fcntl.fcntl(player.stdin, fcntl.F_SETPIPE_SZ, mmap.PAGESIZE)
            began = wrote = self._clock.elapsed
            sent = int(began * RATE)
            self.steady.append((began, began))
            # The sound server may go, and its player with it: another one begins below.
            with contextlib.suppress(BrokenPipeError):
                while not self._stopping.wait(0.05) and player.poll() is None:
                    now = self._clock.elapsed
                    if now - wrote > LATE_SECONDS:
                        break
                    wrote, due = now, int((now + LEAD_SECONDS) * RATE)
                    player.stdin.write(self._scene.sound(sent, due).astype("<i2").tobytes())
                    player.stdin.flush()
                    sent = due
                    self.steady[-1] = began + MARGIN_SECONDS, sent / RATE - MARGIN_SECONDS
            player.kill()
            with contextlib.suppress(BrokenPipeError):
                player.stdin.close()
            player.wait()
            self._stopping.wait(0.1)
