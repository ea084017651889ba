"""The sound that is heard: known to the last sample, and served as a live stream by a server that can misbehave.

    python -m tests.soak.sound PORT CLOCK MODEL SEED NAME

serves it as an endless WAV over HTTP. What it does is in the file NAME.mode beside the clock: `ok`, `slow`, `burst`,
`garbage` or `silent`. What it has sent goes into NAME.sent, piece by piece: first sample, and the one behind the last.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scripts.chorus import CHICKADEE, CUCKOO, GREAT_TIT, Note, Song, sing
from tests.soak.clock import Clock

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 48_000
SLOT_SECONDS = 60
"""In each of them one bird comes."""
VISIT_SECONDS = 9.0
NOISE_SECONDS = 61
"""After so long the noise begins again."""
BACKLOG_SECONDS = 30.0
"""A listener that is so far behind is hung up on."""
PEAK = 0.25
ENDLESS = 2**32 - 1
HEADER = struct.pack(
    "<4sI4s4sIHHIIHH4sI",
    *(b"RIFF", ENDLESS, b"WAVE", b"fmt ", 16),
    *(1, 1, RATE, 2 * RATE, 2, 16),
    *(b"data", ENDLESS),
)

SONGS = {
    "birdnet": (CHICKADEE, GREAT_TIT, CUCKOO),
    "tiny": (
        Song("Testus altus", "High Tone", (Note(4000, 4050, 3.0, 0.0),), (0.0, 0.0)),
        Song("Testus bassus", "Low Tone", (Note(1000, 1010, 3.0, 0.0),), (0.0, 0.0)),
    ),
}


@dataclass(frozen=True)
class Visit:
    """A bird that sings, in samples since the beginning."""

    song: Song
    start: int
    stop: int


class Scene:
    """What one source hears, from the beginning to the end of time. Sample 0 is where the soak's clock began."""

    def __init__(self, model: str, seed: int, name: str) -> None:
        self._songs = SONGS[model]
        self._seed = [seed, *name.encode()]
        noise = np.random.default_rng(self._seed).standard_normal(NOISE_SECONDS * RATE)
        self._noise = np.round(noise * 0.001 * 32767).astype(np.int16)
        self._sung = cache(self._sing)
        self.visit = cache(self._visit)

    def sound(self, start: int, stop: int) -> NDArray[np.int16]:
        """The samples from `start` on, before `stop`: int16 (n,)."""
        sound = self._noise[np.arange(start, stop) % len(self._noise)]
        for slot in range(start // (SLOT_SECONDS * RATE), stop // (SLOT_SECONDS * RATE) + 1):
            visit = self.visit(slot)
            first, last = max(start, visit.start), min(stop, visit.stop)
            if first < last:
                sound[first - start : last - start] += self._sung(visit.song)[
                    first - visit.start : last - visit.start
                ]
        return sound

    def _visit(self, slot: int) -> Visit:
        random = np.random.default_rng([*self._seed, slot])
        song = self._songs[int(random.integers(len(self._songs)))]
        start = round((slot * SLOT_SECONDS + random.uniform(5, SLOT_SECONDS - 15)) * RATE)
        return Visit(song, start, start + len(self._sung(song)))

    def _sing(self, song: Song) -> NDArray[np.int16]:
        return np.round(PEAK * 32767 * sing(song, round(VISIT_SECONDS / song.seconds))).astype(np.int16)


class Listener(BaseHTTPRequestHandler):
    """One connection."""

    clock: Clock
    scene: Scene
    place: Path

    def do_GET(self) -> None:
        """Send what sounds from now on."""
        self.send_response(200)
        self.send_header("Content-Type", "audio/wav")
        self.end_headers()
        if self._mode() == "garbage":
            self.wfile.write(os.urandom(100_000))
            return
        self.wfile.write(HEADER)
        sent, looked = self._due(), self.clock.elapsed
        with self.place.with_suffix(".sent").open("ab", buffering=0) as book:
            while True:
                time.sleep(min(0.1, 0.25 / self.clock.speed))
                mode, due = self._mode(), self._due()
                since, looked = self.clock.elapsed - looked, self.clock.elapsed
                if mode == "garbage" or due - sent > BACKLOG_SECONDS * RATE:
                    return
                if mode == "silent" or (mode == "burst" and due - sent < 8 * RATE):
                    continue
                if mode == "slow":
                    due = min(due, sent + round(0.6 * since * RATE))
                while sent < due:
                    stop = min(due, sent + RATE)
                    self.wfile.write(self.scene.sound(sent, stop).astype("<i2").tobytes())
                    book.write(f"{sent} {stop}\n".encode())
                    sent = stop

    def log_message(self, *_: Any) -> None:
        """The file is enough."""

    def _due(self) -> int:
        return int(self.clock.elapsed * RATE)

    def _mode(self) -> str:
        return self.place.with_suffix(".mode").read_text()


class Server(ThreadingHTTPServer):
    """It may be started again at once."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A listener that hung up is none."""


if __name__ == "__main__":
    port, clock, model, seed, name = sys.argv[1:]
    Listener.clock = Clock.attach(Path(clock))
    Listener.scene = Scene(model, int(seed), name)
    Listener.place = Path(clock).with_name(name)
    Server(("127.0.0.1", int(port)), Listener).serve_forever()
