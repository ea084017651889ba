"""How the node does: since when it runs, and what each source has heard and lost since then."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from birdwatchd.audio.clock import FileClock
from birdwatchd.domain import Health, SourceHealth
from birdwatchd.errors import Lapped
from birdwatchd.service.written import written_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from birdwatchd.audio.source import Source
    from birdwatchd.domain import LedgerEntry

LEVEL_SECONDS = 1.0
FLOOR_DBFS = -200.0
"""The level of digital silence: not every reader of numbers knows minus infinity."""


class Vitals:
    """Adds up what the ledger says. From any thread."""

    def __init__(self, *, node: str, version: str, model: str, device: str) -> None:
        self._node, self._version, self._model, self._device = node, version, model, device
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._seconds: dict[tuple[str, str], float] = defaultdict(float)  # by source and kind
        self._lost: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._heard: dict[str, tuple[int, float]] = {}  # samples written, and since when

    def account(self, entries: Iterable[LedgerEntry]) -> None:
        """Take in what was added to the ledger."""
        with self._lock:
            for entry in entries:
                if entry.kind == "lost":
                    self._lost[entry.source][entry.cause] += entry.seconds
                else:
                    self._seconds[entry.source, entry.kind] += entry.seconds

    def health(self, sources: Sequence[Source], deliveries_waiting: int) -> Health:
        """How it does now."""
        with self._lock:
            return Health(
                node=self._node,
                at=datetime.now(UTC),
                uptime_seconds=self._uptime,
                version=self._version,
                model=self._model,
                device=self._device,
                sources=tuple(map(self._source, tuple(sources))),
                deliveries_waiting=deliveries_waiting,
                written_bytes=written_bytes(),
            )

    def _source(self, source: Source) -> SourceHealth:
        return SourceHealth(
            name=source.name,
            captured_seconds=self._seconds[source.name, "captured"],
            analysed_seconds=self._seconds[source.name, "analysed"],
            # Deafness is counted while it lasts, and taken back when its cause is known.
            lost_seconds={cause: lost for cause, lost in self._lost[source.name].items() if lost > 0},
            last_block_age_seconds=self._age(source),
            level_dbfs=level_dbfs(source),
            fault=source.fault,
        )

    def _age(self, source: Source) -> float:
        """Seconds since the newest sample."""
        written = source.ring.written
        if not isinstance(source.clock, FileClock):
            age = (datetime.now(UTC) - source.clock.at(written)).total_seconds() if written else self._uptime
            return max(0.0, age)
        # A recording's clock tells of another day: all that can be said is whether there was something since last time.
        before, changed = self._heard.get(source.name, (-1, 0.0))
        if written != before:
            changed = self._uptime
            self._heard[source.name] = written, changed
        return self._uptime - changed

    @property
    def _uptime(self) -> float:
        return time.monotonic() - self._started


def level_dbfs(source: Source) -> float:
    """Root mean square of a source's last second without its mean, 0 dBFS being a full-scale square wave."""
    ring = source.ring
    stop = ring.written
    try:
        samples = ring.read(max(ring.oldest, stop - round(LEVEL_SECONDS * ring.sample_rate)), stop)
    except (Lapped, ValueError):
        return FLOOR_DBFS
    power = float(samples.var(dtype="float64")) if len(samples) else 0.0
    return max(FLOOR_DBFS, 10 * math.log10(power)) if power > 0 else FLOOR_DBFS
