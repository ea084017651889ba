"""What open live pages cost: `scripts/bench web_live`.

The real daemon with BirdNET hears one source in real time. By turns nobody looks, and ten do: WebSocket clients in another
process, each watching the source as a browser does. Told are the processor time of the whole daemon in both, and how long a
window waits for its decision, from the write that brought its last sample. The peer is the daemon that nobody looks at.
"""

from __future__ import annotations

import asyncio
import bisect
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benchmarks.latency import RATE, SLOT_SECONDS, birds  # noqa: E402 - the paths come first
from birdwatchd.audio.ring import Ring  # noqa: E402
from birdwatchd.config.load import load  # noqa: E402
from birdwatchd.config.secrets import Secrets  # noqa: E402
from birdwatchd.daemon import run  # noqa: E402
from birdwatchd.dispatch.plugins import schemas  # noqa: E402
from birdwatchd.pipeline import Listeners  # noqa: E402
from birdwatchd.service.logs import set_up  # noqa: E402
from tests.observed import free_port  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from birdwatchd.domain import Scores, Window

PAGES = 10
SONGS = 30
"""After so many the sound begins anew."""
TURNS = 6
TURN_SECONDS = 30.0
SETTLE_SECONDS = 8.0
CONFIG = """\
node: bench
model: {{inference_threads: 1}}
sources:
  - {{name: garden, kind: recording, path: {folder}/birds.wav, start: now}}
store: {{database: {folder}/birds.sqlite}}
web: {{port: {port}}}
log: {{level: warning, format: json}}
"""


@dataclass
class Turn:
    """A stretch of time in which nobody looks, or ten do."""

    began: float = 0.0
    busy_seconds: float = 0.0
    seconds: float = 0.0
    columns: list[int] = field(default_factory=list)
    """What each page was sent."""


class Watch:
    """When each sample was written, and when each window was decided on."""

    def __init__(self) -> None:
        self.written: list[tuple[int, float]] = []
        self.decided: list[tuple[int, float]] = []

    def install(self) -> None:
        """Note the time after every write into a ring."""
        write = Ring.write

        def timed(ring: Ring, block: NDArray[np.float32]) -> None:
            write(ring, block)
            self.written.append((ring.written, time.monotonic()))

        Ring.write = timed  # type: ignore[assignment,method-assign] # a benchmark may look inside

    def window(self, window: Window, _scores: Scores) -> None:
        """A window was decided on."""
        self.decided.append((window.stop_sample, time.monotonic()))

    def waits(self, turn: Turn) -> list[float]:
        """Seconds that each window of a turn waited."""
        samples = [sample for sample, _ in self.written]
        return [
            at - self.written[bisect.bisect_left(samples, sample)][1]
            for sample, at in self.decided
            if turn.began <= at < turn.began + turn.seconds
        ]


async def look(url: str) -> None:
    """Ten pages, in a process of their own: says when all are open, and at the end what each was sent."""
    from websockets.asyncio.client import connect

    columns = [0] * PAGES
    opened = asyncio.Barrier(PAGES + 1)

    async def one(number: int) -> None:
        async with connect(url) as socket:
            await socket.send(json.dumps({"watch": ["garden"]}))
            await opened.wait()
            async for message in socket:
                if isinstance(message, bytes):
                    columns[number] += struct.unpack_from("<H", message, 2)[0]

    async with asyncio.TaskGroup() as group:  # which ends with the first that cannot look
        pages = [group.create_task(one(number)) for number in range(PAGES)]
        await opened.wait()
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print(json.dumps(columns), flush=True)
        for page in pages:
            page.cancel()


@contextmanager
def ten_pages(url: str, turn: Turn) -> Iterator[None]:
    """Open while it is entered; what each was sent is in the turn afterwards."""
    pages = subprocess.Popen(
        [sys.executable, __file__, "--look", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert pages.stdin is not None
    assert pages.stdout is not None
    assert pages.stdout.readline() == "open\n"
    yield
    pages.stdin.write("enough\n")
    pages.stdin.close()
    turn.columns = json.loads(pages.stdout.readline())
    pages.wait()


def take_turns(url: str, turns: dict[int, list[Turn]]) -> None:
    """Nobody looks, ten do, nobody does, and so on."""
    time.sleep(SETTLE_SECONDS)
    for _ in range(TURNS):
        for pages in (0, PAGES):
            turn = Turn()
            with ten_pages(url, turn) if pages else nullcontext():
                turn.began, busy = time.monotonic(), time.process_time()
                time.sleep(TURN_SECONDS)
                turn.seconds, turn.busy_seconds = time.monotonic() - turn.began, time.process_time() - busy
            turns[pages].append(turn)
    os.kill(os.getpid(), signal.SIGTERM)


def told(differences: NDArray[np.float64]) -> str:
    """The mean of what turns beside each other differ by, and its standard error."""
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return f"{differences.mean():+.1f} ± {error:.1f}"


def main() -> None:
    """Measure and print."""
    watch, turns = Watch(), {0: list[Turn](), PAGES: list[Turn]()}
    watch.install()
    seconds = 2 * (SETTLE_SECONDS + TURNS * 2 * TURN_SECONDS)  # more than enough: a signal ends it
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        songs = np.tile(birds(SONGS), int(seconds / (SONGS * SLOT_SECONDS)) + 1)
        soundfile.write(folder / "birds.wav", songs, RATE)
        config = folder / "config.yaml"
        config.write_text(CONFIG.format(folder=folder, port=port))
        config.chmod(0o600)
        loaded = load(config, actions=schemas())
        set_up(loaded.config.log, Secrets(loaded.config))
        url = f"ws://127.0.0.1:{port}/live"
        turning = threading.Thread(target=take_turns, args=(url, turns), daemon=True)
        run(loaded, Listeners(window=watch.window), lambda _: turning.start())
        turning.join()
    table = Table(title=f"{TURNS} turns of {TURN_SECONDS:.0f} s each: BirdNET, one source in real time")
    for heading in ("", "nobody looks", f"{PAGES} live pages", "more", "wanted"):
        table.add_column(heading)
    shares = {
        pages: np.array([100 * turn.busy_seconds / turn.seconds for turn in found])
        for pages, found in turns.items()
    }
    table.add_row(
        "processor, of one core",
        f"{shares[0].mean():.1f} %",
        f"{shares[PAGES].mean():.1f} %",
        f"{told(shares[PAGES] - shares[0])} %",
        "< 10 %",
    )
    for percent in (50, 95):
        each = {
            pages: np.array([1000 * np.percentile(watch.waits(turn), percent) for turn in found])
            for pages, found in turns.items()
        }
        table.add_row(
            f"window to decision, p{percent}",
            *(f"{each[pages].mean():.0f} ms" for pages in (0, PAGES)),
            f"{told(each[PAGES] - each[0])} ms",
            "0",
        )
    sent = [columns / turn.seconds for turn in turns[PAGES] for columns in turn.columns]
    table.add_row("columns a second, each page", "", f"{min(sent):.1f} to {max(sent):.1f}", "", "40")
    Console().print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--look"]:
        asyncio.run(look(sys.argv[2]))
    else:
        main()
