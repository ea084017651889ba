"""What an action's tests give it: a detection, a delivery, and a context that remembers what was noted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birdwatchd.domain import Clip, Delivery, Detection, Health, Label, SourceHealth, Tally, detection_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from birdwatchd.config.schema import Location

DAWN = datetime(2026, 5, 9, 4, 42, 10, 250000, tzinfo=UTC)
GREAT_TIT = Label(7, "Parus major", "Great Tit", "gretit1")
RATE = 48000


def sample_detection(**changes: Any) -> Detection:
    """A great tit at dawn, 4.5 seconds long, with these fields changed."""
    label = changes.get("label", GREAT_TIT)
    source = changes.get("source", "garden")
    start = changes.get("start", DAWN)
    fields: dict[str, Any] = {
        "id": detection_id(source, label.scientific_name, start, "tiny-1"),
        "run_id": "run-1",
        "source": source,
        "site": "wood",
        "label": label,
        "start_sample": 20 * RATE,
        "end_sample": 20 * RATE + 9 * RATE // 2,
        "start": start,
        "end": start + timedelta(seconds=4.5),
        "score": 0.93,
        "windows": 3,
        "model": "tiny-1",
        "threshold": 0.7,
        "occurrence": 0.25,
        "processing_ns": 21_000_000,
        "clip_path": "2026/05/09/garden-Parus_major-044210",
        "voice": False,
        "state": "started",
    }
    return Detection(**{**fields, **changes})


def sample_tally(**changes: Any) -> Tally:
    """The third of the day."""
    fields = {"count_today": 3, "first_today": False, "first_of_season": False, "first_ever": False}
    return Tally(**{**fields, **changes})


def sample_delivery(action: str = "one", **changes: Any) -> Delivery:
    """A delivery of `sample_detection` (or `detection=`) for an action."""
    fields: dict[str, Any] = {
        "action": action,
        "detection": sample_detection(),
        "tally": sample_tally(),
        "created": DAWN + timedelta(seconds=5),
    }
    return Delivery(**{**fields, **changes})


def sample_health(*sources: SourceHealth, **changes: Any) -> Health:
    """What the node says of itself, with these sources: one that hears well when left out."""
    fields: dict[str, Any] = {
        "node": "wood",
        "at": DAWN,
        "uptime_seconds": 90_000.5,
        "version": "0.1.0",
        "model": "tiny-1",
        "device": "cpu",
        "sources": sources or (sample_source_health(),),
        "deliveries_waiting": 2,
        "written_bytes": 12_345_678,
    }
    return Health(**{**fields, **changes})


def sample_source_health(name: str = "garden", **changes: Any) -> SourceHealth:
    """A source that hears well, with these fields changed."""
    fields: dict[str, Any] = {
        "captured_seconds": 86_400.0,
        "analysed_seconds": 86_397.1234,
        "lost_seconds": {"overrun": 1.5},
        "last_block_age_seconds": 0.0213,
        "level_dbfs": -61.25,
        "fault": "",
    }
    return SourceHealth(name=name, **{**fields, **changes})


@dataclass
class FakeContext:
    """A `birdwatchd.actions.Context` that remembers what was noted."""

    node: str = "wood"
    location: Location | None = None
    zone: tzinfo = UTC
    clips_folder: Path = Path("clips")
    delivery: Delivery = field(default_factory=sample_delivery)
    sound: Clip | str | Callable[[float, float], Clip | str] = "the sound is no longer in memory"
    """What `clip` answers; called with the seconds before and after where it is a function."""
    full: str = ""
    """Why there is no room for files, if there is none."""
    notes: dict[str, str | float | bool] = field(default_factory=dict)
    page_url: str = ""
    clip_url: str = ""

    def clip(self, before_seconds: float, after_seconds: float) -> Clip | str:
        return self.sound(before_seconds, after_seconds) if callable(self.sound) else self.sound

    def make_room(self, size: int) -> str:
        return self.full

    def note(self, **fields: str | float | bool) -> None:
        self.notes |= fields


@dataclass
class FakeItem:
    """One delivery of a batch, with the context it is run in."""

    context: FakeContext = field(default_factory=FakeContext)

    @property
    def detection(self) -> Detection:
        return self.context.delivery.detection
