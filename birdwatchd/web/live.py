"""The live picture: made once, for all who look, and only while somebody does."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

import structlog

from birdwatchd.record import to_record
from birdwatchd.web.columns import Prism

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from birdwatchd.audio.source import Source
    from birdwatchd.domain import Detection
    from birdwatchd.service.status import SourceStatus, Status
    from birdwatchd.web.columns import Columns
    from birdwatchd.web.house import House
    from birdwatchd.web.viewer import Viewer

TURN_SECONDS = 0.125
"""How often columns are sent."""
STATE_SECONDS = 1.0
"""How often it is told how the sources do."""
HEADER = struct.Struct("<HHfffdd")
"""Before the columns of a source, little end first: the source's number, how many columns follow, the level in dBFS, the
seconds from one column to the next, the sample rate, the first sample, and its time in seconds since 1970. Then `BANDS` bytes
for each column."""
PIECES = 4
"""So many stretches of a source at a turn; a recording that is read faster than it was made has ever more of them."""
SILENCE_DBFS = -200.0

logger = structlog.get_logger()


class Live:
    """Belongs to one event loop. Reads rings from outside, takes no lock of the daemon's, and waits for no viewer."""

    def __init__(self, house: House) -> None:
        """Nobody looks yet, and so nothing is done."""
        self._house = house
        self._viewers: list[Viewer] = []
        self._prisms: dict[str, Prism] = {}
        self._numbers: dict[str, int] = {}
        self._work: asyncio.Task[None] | None = None
        self._failing: set[str] = set()

    @property
    def viewers(self) -> int:
        """How many look just now."""
        return len(self._viewers)

    @asynccontextmanager
    async def seen_by(self, viewer: Viewer) -> AsyncIterator[None]:
        """While it is entered, the viewer is told all that happens, and shown what it watches."""
        self._viewers.append(viewer)
        if self._work is None:
            self._work = asyncio.create_task(self._go_on(), name="live picture")
        try:
            yield
        finally:
            self._viewers.remove(viewer)
            if not self._viewers and self._work is not None:
                self._work.cancel()
                self._work = None

    async def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        with self._house.news.heard_by(lambda one: _soon(loop, self._tell, one)):
            describing = asyncio.create_task(self._describe(), name="live state")
            try:
                due = time.monotonic()
                while True:
                    with self._surviving("picture"):
                        self._turn()
                    # Not to make up for lost turns: the next has all of it.
                    due = max(due + TURN_SECONDS, time.monotonic())
                    await asyncio.sleep(due - time.monotonic())
            finally:
                describing.cancel()
                self._prisms.clear()

    def _turn(self) -> None:
        """Send each viewer what is new of what it watches."""
        watched = {name for viewer in self._viewers for name in viewer.watched}
        sources = {source.name: source for source in self._house.sources() if source.name in watched}
        self._prisms = {name: prism for name, prism in self._prisms.items() if name in sources}
        news = {name: self._columns(source) for name, source in sources.items()}
        joined: dict[tuple[str, ...], bytes] = {}
        for viewer in self._viewers:
            if viewer.watched not in joined:
                joined[viewer.watched] = b"".join(news.get(name, b"") for name in viewer.watched)
            if joined[viewer.watched]:
                viewer.show(joined[viewer.watched])

    def _columns(self, source: Source) -> bytes:
        prism = self._prisms.get(source.name)
        if prism is None or prism.ring is not source.ring:
            prism = self._prisms[source.name] = Prism(source.ring)
        pieces = iter(prism.take, None)  # gaps in the sound lie between them
        return b"".join(self._encoded(source, prism, piece) for piece in islice(pieces, PIECES))

    def _encoded(self, source: Source, prism: Prism, columns: Columns) -> bytes:
        header = HEADER.pack(
            self._number(source.name),
            len(columns.values),
            max(SILENCE_DBFS, columns.level_dbfs),
            prism.column_seconds,
            source.ring.sample_rate,
            columns.start_sample,
            source.clock.at(columns.start_sample).timestamp(),
        )
        return header + columns.values.tobytes()

    def _number(self, source: str) -> int:
        """What a source is called in a header: the same for as long as the daemon runs."""
        return self._numbers.setdefault(source, len(self._numbers))

    def _tell(self, detection: Detection) -> None:
        words = to_words("detection", to_record(detection, self._house.zone()))
        for viewer in self._viewers:
            viewer.tell(words)

    async def _describe(self) -> None:
        """Say how the sources do, again and again."""
        while True:
            with self._surviving("state"):
                # It may read the database, which is none of the loop's business.
                status = await asyncio.to_thread(self._house.status)
                words = to_words("state", self._state(status))
                for viewer in self._viewers:
                    viewer.describe(words)
            await asyncio.sleep(STATE_SECONDS)

    @contextmanager
    def _surviving(self, what: str) -> Iterator[None]:
        """What fails once may work the next time: it is logged once, and does not end the rest."""
        try:
            yield
            self._failing.discard(what)
        except Exception:
            if what not in self._failing:
                self._failing.add(what)
                logger.exception("the live page lacks something", what=what)

    def _state(self, status: Status) -> dict[str, Any]:
        zone = self._house.zone()
        return {
            "at": status.at.astimezone(zone).isoformat(timespec="milliseconds"),
            "run_id": status.run_id,
            "version": status.version,
            "model": status.model.name,
            "faults": status.faults,
            "warnings": status.warnings,
            "sources": [self._source(one) for one in status.sources],
        }

    def _source(self, status: SourceStatus) -> dict[str, Any]:
        until = status.hours.until if status.hours is not None else None
        return {
            "name": status.name,
            "number": self._number(status.name),
            "state": status.state,
            "fault": status.fault,
            "level_dbfs": status.level_dbfs,
            "age_seconds": status.last_block_age_seconds,
            "behind_seconds": status.behind_seconds,
            "silent_seconds": round(status.silent_seconds, 1),
            "until": until and until.astimezone(self._house.zone()).isoformat(timespec="minutes"),
        }


def to_words(kind: str, content: Any) -> str:
    """A message: JSON with one name."""
    return json.dumps({kind: content}, ensure_ascii=False, separators=(",", ":"))


def _soon(loop: asyncio.AbstractEventLoop, tell: Any, detection: Detection) -> None:
    with suppress(RuntimeError):  # the loop was closed: nobody looks any more
        loop.call_soon_threadsafe(tell, detection)
