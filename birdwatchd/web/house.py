"""What the page may ask of the daemon: there is no other door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from birdwatchd.audio.source import Source
    from birdwatchd.audio.windows import Plan
    from birdwatchd.config.schema import Config
    from birdwatchd.domain import Label
    from birdwatchd.service.status import Status
    from birdwatchd.web.news import News


@dataclass(frozen=True, slots=True)
class House:
    """Everything here may be called from any thread, and is what counts just then: a reload may change it."""

    config: Callable[[], Config]
    zone: Callable[[], tzinfo]
    """The station's own time."""
    status: Callable[[], Status]
    """How the daemon does; at most half a second old."""
    model: Callable[[], str]
    """What detections call the model that listens."""
    plan: Callable[[], Plan]
    """How time is divided for it."""
    labels: Callable[[], Sequence[Label]]
    """Of the model that listens."""
    sources: Callable[[], Sequence[Source]]
    """Those that are listened to: each with its name, ring and clock."""
    news: News
    """Detections, as they start and end."""

    @property
    def database(self) -> Path:
        """The SQLite file; `web/reading.py` opens it for a request."""
        return self.config().store.database

    @property
    def clips_folder(self) -> Path:
        """Where sound and pictures lie."""
        return self.config().store.clips_folder
