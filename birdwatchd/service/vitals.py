"""How the node does: since when it runs, and what each source has heard and lost since then."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING

from birdwatchd.audio.clock import FileClock
from birdwatchd.domain import Health, SourceHealth
from birdwatchd.errors import Lapped
from birdwatchd.service.status import ModelStatus, Seconds
from birdwatchd.service.written import written_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from birdwatchd.audio.source import Source
    from birdwatchd.domain import Detection, LedgerEntry

BATCH_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""What batches are sorted by."""
TOO_SLOW = "too slow"
"""The cause of sound that was skipped for want of time, as in the ledger."""
LATELY_SECONDS = 600.0
LEVEL_SECONDS = 1.0
FLOOR_DBFS = -200.0
"""The level of digital silence: not every reader of numbers knows minus infinity."""


class Vitals:
    """Adds up what the ledger says. From any thread."""

    def __init__(self, *, node: str, version: str, model: str, device: str) -> None:
        self._node, self._version, self._model = node, version, model
        self.device = device
        """What the model runs on."""
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._seconds: dict[tuple[str, str], float] = defaultdict(float)  # by source and kind
        self._lost: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._skipped: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._skipped_at: dict[tuple[str, str], float] = {}  # by source and cause
        self._detections: Counter[str] = Counter()
        self._batches: Counter[float] = Counter()
        self._segments, self._busy_seconds = 0, 0.0
        self._heard: dict[str, tuple[int, float]] = {}  # samples written, and since when

    def runs(self, model: str, device: str) -> None:
        """It listens with another model from now on."""
        with self._lock:
            self._model, self.device = model, device

    def account(self, entries: Iterable[LedgerEntry]) -> None:
        """Take in what was added to the ledger."""
        with self._lock:
            for entry in entries:
                if entry.kind == "lost":
                    self._lost[entry.source][entry.cause] += entry.seconds
                elif entry.kind == "skipped":
                    self._skipped[entry.source][entry.cause] += entry.seconds
                    self._skipped_at[entry.source, entry.cause] = time.monotonic()
                else:
                    self._seconds[entry.source, entry.kind] += entry.seconds

    def detected(self, detection: Detection) -> None:
        """Count a detection when it starts."""
        if detection.state == "started":
            with self._lock:
                self._detections[detection.source] += 1

    def batch(self, segments: int, seconds: float) -> None:
        """Count what the classifier did at once."""
        with self._lock:
            self._batches[next((bound for bound in BATCH_SECONDS if seconds <= bound), math.inf)] += 1
            self._segments += segments
            self._busy_seconds += seconds

    def seconds(self, source: str) -> Seconds:
        """What became of a source's seconds since the daemon began."""
        with self._lock:
            return Seconds(
                expected=self._seconds[source, "expected"],
                captured=self._seconds[source, "captured"],
                analysed=self._seconds[source, "analysed"],
                lost={cause: lost for cause, lost in self._lost[source].items() if lost > 0},
                skipped=dict(self._skipped[source]),
            )

    def detections(self, source: str) -> int:
        """How many started in this run."""
        with self._lock:
            return self._detections[source]

    def was_skipped(self, source: str, cause: str) -> bool:
        """Whether sound of it was skipped in the last minutes, for that cause."""
        with self._lock:
            return time.monotonic() - self._skipped_at.get((source, cause), -math.inf) < LATELY_SECONDS

    def model(self) -> ModelStatus:
        """What the classifier did."""
        with self._lock:
            bounds = [*BATCH_SECONDS, math.inf]
            counts = accumulate(self._batches[bound] for bound in bounds)
            return ModelStatus(
                name=self._model,
                device=self.device,
                batches=self._batches.total(),
                segments=self._segments,
                seconds=self._busy_seconds,
                batch_seconds=dict(zip(BATCH_SECONDS, counts, strict=False)),
            )

    def health(self, sources: Sequence[Source], deliveries_waiting: int) -> Health:
        """How it does now."""
        with self._lock:
            return Health(
                node=self._node,
                at=datetime.now(UTC),
                uptime_seconds=self.uptime_seconds,
                version=self._version,
                model=self._model,
                device=self.device,
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
            age = (
                (datetime.now(UTC) - source.clock.at(written)).total_seconds()
                if written
                else self.uptime_seconds
            )
            return max(0.0, age)
        # A recording's clock tells of another day: all that can be said is whether there was something since last time.
        before, changed = self._heard.get(source.name, (-1, 0.0))
        if written != before:
            changed = self.uptime_seconds
            self._heard[source.name] = written, changed
        return self.uptime_seconds - changed

    @property
    def uptime_seconds(self) -> float:
        """Since the daemon began."""
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
