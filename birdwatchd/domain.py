"""The few types that travel from the microphone to the database. All are frozen.

Samples are numbered once: an index counts the captured samples of one source, from 0, never wraps, and never restarts
within a run. A gap does not advance it. All times are aware UTC.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import date, datetime

    import numpy as np
    from numpy.typing import NDArray

DetectionState = Literal["started", "ended"]
Dating = Literal["", "unset", "corrected", "repeated"]
"""What is to be said of a detection's times: nothing, as a rule.

`unset`: they are those of a clock that nobody had set. `corrected`: they were, and were put right when the clock was set.
`repeated`: the clock had been set back, and the same time was there before.
"""


@dataclass(frozen=True, slots=True)
class Label:
    """One output of the model. The scientific name is the key, the common name is for people."""

    index: int
    scientific_name: str
    common_name: str
    code: str = ""
    """eBird species code, empty when unknown."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Sound that was never captured: it lies just before the sample `index`."""

    index: int
    seconds: float
    cause: str


@dataclass(frozen=True, slots=True)
class Segment:
    """What the model takes at once: `samples` float32 (input_samples,), at the model's rate, in [-1, 1].

    `start_sample` and `stop_sample` count at the source's rate; from `stop_sample` on, the rest is zeros
    (the last segment of a file, or before a gap).
    """

    source: str
    start_sample: int
    stop_sample: int
    samples: NDArray[np.float32]
    level_dbfs: float
    """Root mean square of the real part without its mean, 0 dBFS being a full-scale square wave; -inf for silence."""


@dataclass(frozen=True, slots=True)
class Window:
    """The unit of decision: the stretch of one source that is decided on, 6 s by default. Never spans a gap."""

    source: str
    start_sample: int
    stop_sample: int
    """One past the last real sample; less than a whole window away at the end of a file or before a gap."""
    start: datetime
    sample_rate: int
    segment_starts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """What the classifier says of one window: `values` float32 (segments, labels) in [0, 1]."""

    segment_starts: tuple[int, ...]
    segment_stops: tuple[int, ...]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A label that a window offered, and what became of it."""

    source: str
    site: str
    start: datetime
    start_sample: int
    label: Label
    score: float
    """Pooled score, 0 to 1."""
    threshold: float
    gate: str
    """The gate that stopped it, or `detection` when it passed them all."""
    reason: str


@dataclass(frozen=True, slots=True)
class Detection:
    """A species that was heard, from its first sound to its last. `state` says whether it still goes on."""

    id: str
    run_id: str
    source: str
    site: str
    label: Label
    start_sample: int
    end_sample: int
    start: datetime
    end: datetime
    score: float
    """The highest pooled score so far, 0 to 1."""
    windows: int
    model: str
    threshold: float
    occurrence: float | None
    """What the species range model gives for this place and week, 0 to 1; None when it is off."""
    processing_ns: int
    """Time the classifier took for the batch that decided it."""
    clip_path: str
    voice: bool
    """A human voice overlaps it: no audio of it is kept."""
    state: DetectionState
    dating: Dating = ""


LedgerKind = Literal["expected", "captured", "analysed", "lost", "skipped", "off"]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """Seconds of one source in one UTC hour, by what became of them.

    `kind` is `expected`, `captured`, `analysed`, `skipped`, `lost` or `off`; the last three have a cause. For every source
    and hour, expected = captured + lost; `off` is the time when the daemon did not run, and nothing was expected of it.
    """

    source: str
    hour: datetime
    kind: LedgerKind
    cause: str
    seconds: float
    until: datetime | None = None
    """Up to when the source's time is accounted for, in the entries that say so."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How a detection stands among its species at this station, counted when it was recorded."""

    count_today: int
    """This one included; a day begins at midnight in the station's zone."""
    first_today: bool
    first_of_season: bool
    """None since the first of March, June, September or December."""
    first_ever: bool


DeliveryStatus = Literal["waiting", "done", "dead", "expired", "lost"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One detection, in one state, for one action. It carries the detection as it was in that state."""

    action: str
    detection: Detection
    tally: Tally
    created: datetime
    status: DeliveryStatus = "waiting"
    attempts: int = 0
    error: str = ""

    @property
    def key(self) -> str:
        """The same on every attempt: detection, state, action."""
        return f"{self.detection.id}/{self.detection.state}/{self.action}"


@dataclass(frozen=True, slots=True)
class Clip:
    """Sound cut out around a detection: `samples` float32 (n,) at `sample_rate`, in [-1, 1]."""

    source: str
    start_sample: int
    stop_sample: int
    start: datetime
    sample_rate: int
    samples: NDArray[np.float32]
    gaps: tuple[Gap, ...]
    """Where sound is missing within it; the samples around a gap are neighbours."""
    voice: bool
    """A person speaks in it: it must not be kept."""


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """How one source does."""

    name: str
    captured_seconds: float
    analysed_seconds: float
    lost_seconds: dict[str, float]
    """By cause."""
    last_block_age_seconds: float
    level_dbfs: float
    fault: str


@dataclass(frozen=True, slots=True)
class Health:
    """What the node says of itself every minute. Seconds count from the daemon's start."""

    node: str
    at: datetime
    uptime_seconds: float
    version: str
    model: str
    device: str
    sources: tuple[SourceHealth, ...]
    deliveries_waiting: int
    written_bytes: int | None = None
    """Given to disks since the start; None where the system does not tell."""


@dataclass(frozen=True, slots=True)
class DailySummary:
    """The species of one day at the station, with how often each was heard, most first."""

    node: str
    day: date
    counts: tuple[tuple[Label, int], ...]


def detection_id(source: str, scientific_name: str, start: datetime, model: str) -> str:
    """The id a detection has from its birth: 20 hex digits, the same whenever the same sound is replayed."""
    milliseconds = round(start.timestamp() * 1000)
    key = "\0".join((source, scientific_name, str(milliseconds), model))
    return hashlib.blake2b(key.encode(), digest_size=10).hexdigest()
