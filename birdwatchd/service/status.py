"""How the daemon does: all of what `birdwatchd status`, `/metrics` and `/healthz` tell, at one moment. Times are aware UTC."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from birdwatchd.service.machine import ProcessStatus
    from birdwatchd.service.schedule import Job

State = Literal["listening", "away", "resting", "finished"]


@dataclass(frozen=True, slots=True)
class Seconds:
    """What became of a source's seconds, as in the ledger."""

    expected: float
    captured: float
    analysed: float
    lost: dict[str, float]
    """By cause, as `skipped`."""
    skipped: dict[str, float]


@dataclass(frozen=True, slots=True)
class HoursStatus:
    """Listening hours."""

    inside: bool
    until: datetime | None
    """When that changes; None when it does not in the next days."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source."""

    name: str
    site: str
    kind: str
    state: State
    fault: str
    """Why it is away, in words."""
    level_dbfs: float
    last_block_age_seconds: float
    behind_seconds: float
    """Captured, and not analysed yet."""
    silent_seconds: float
    """For how long there has been nothing but digital silence."""
    hours: HoursStatus | None
    """None: it always listens."""
    detections: int
    """That started in this run."""
    run: Seconds
    """Since the daemon began."""
    today: Seconds | None
    """Since midnight, at most half a minute old; None when the database cannot be read."""


@dataclass(frozen=True, slots=True)
class ActionStatus:
    """One action."""

    name: str
    kind: str
    waiting: int | None
    """Deliveries; None when the database cannot be read."""
    settled: dict[str, int]
    """What became of those that were settled in this run, by status: done, dead, expired or lost."""
    trouble: str
    """Why it does not get on just now; empty when it does."""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What listens."""

    name: str
    device: str
    batches: int
    segments: int
    seconds: float
    """That all of them took together."""
    batch_seconds: dict[float, int]
    """How many batches took at most so long, in seconds: each bound counts those below it too."""


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """What is on the disk."""

    database: str
    database_bytes: int | None
    clips_bytes: int | None
    """None until the clips folder was looked through for the first time."""
    free_bytes: int | None
    written_bytes: int | None
    """To disks, since the daemon began."""
    pending: int
    """Detections in memory only, as they cannot be written."""
    fault: str


@dataclass(frozen=True, slots=True)
class ClockStatus:
    """The system clock."""

    synchronised: bool | None
    """None where the machine does not say."""
    steps: int
    """How often it was set since the daemon began."""
    zone: str


@dataclass(frozen=True, slots=True)
class Status:
    """All of it."""

    node: str
    version: str
    run_id: str
    config: str
    at: datetime
    started: datetime
    uptime_seconds: float
    faults: list[str]
    """It does not hear, hangs, or cannot record: a sentence each. `/healthz` is well without them."""
    warnings: list[str]
    """It hears and records, and something else is wrong."""
    sources: list[SourceStatus]
    model: ModelStatus
    actions: list[ActionStatus]
    schedule: list[Job]
    store: StoreStatus
    clock: ClockStatus
    process: ProcessStatus

    def to_json(self) -> bytes:
        """One line."""
        return json.dumps(asdict(self), default=_plain, ensure_ascii=False).encode() + b"\n"


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    raise TypeError(f"{type(value).__name__} in a status")
