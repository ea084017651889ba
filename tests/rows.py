"""Detections, candidates and ledger entries to write down, and a log to read back."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from birdwatchd.domain import Candidate, Detection, Label, LedgerEntry, detection_id
from birdwatchd.store import backup, database, opening, recorder, renewal, rest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

DAWN = datetime(2026, 5, 9, 4, 42, 10, 250000, tzinfo=UTC)
GREAT_TIT = Label(7, "Parus major", "Great Tit", "gretit1")
BLACKBIRD = Label(8, "Turdus merula", "Common Blackbird", "eurbla")
COOT = Label(9, "Fulica atra", "Bläßhuhn")


def detection(at: float = 0.0, label: Label = GREAT_TIT, seconds: float = 4.5, **changes: Any) -> Detection:
    """A detection that began `at` seconds after dawn."""
    start = DAWN + timedelta(seconds=at)
    source = changes.get("source", "garden")
    fields: dict[str, Any] = {
        "id": detection_id(source, label.scientific_name, start, "tiny-1"),
        "run_id": "run-1",
        "source": source,
        "site": "",
        "label": label,
        "start_sample": round(at * 48000),
        "end_sample": round((at + seconds) * 48000),
        "start": start,
        "end": start + timedelta(seconds=seconds),
        "score": 0.93,
        "windows": 3,
        "model": "tiny-1",
        "threshold": 0.7,
        "occurrence": 0.25,
        "processing_ns": 21_000_000,
        "clip_path": "",
        "voice": False,
        "state": "ended",
    }
    return Detection(**{**fields, **changes})


def candidate(at: float = 0.0, label: Label = GREAT_TIT, **changes: Any) -> Candidate:
    """A candidate whose window began `at` seconds after dawn."""
    fields: dict[str, Any] = {
        "source": "garden",
        "site": "",
        "start": DAWN + timedelta(seconds=at),
        "start_sample": round(at * 48000),
        "label": label,
        "score": 0.42,
        "threshold": 0.7,
        "gate": "threshold",
        "reason": "score 0.42 below 0.7",
    }
    return Candidate(**{**fields, **changes})


def entry(
    seconds: float, kind: str = "captured", cause: str = "", *, hours: int = 0, **changes: Any
) -> LedgerEntry:
    """A ledger entry, `hours` after the hour of dawn."""
    hour = DAWN.replace(minute=0, second=0, microsecond=0) + timedelta(hours=hours)
    fields: dict[str, Any] = {
        "source": "garden",
        "hour": hour,
        "kind": kind,
        "cause": cause,
        "seconds": seconds,
    }
    return LedgerEntry(**{**fields, **changes})


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def wall(self) -> datetime:
        return DAWN + timedelta(seconds=self.seconds)


def capture_log(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the store logs from now on, whatever the rest of the process has configured."""
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(
        structlog.ReturnLogger(), processors=[capture], wrapper_class=structlog.BoundLogger
    )
    for module in (backup, opening, recorder, renewal, rest):
        monkeypatch.setattr(module, "logger", logger)
    return capture.entries


def write(path: Path, *rows: Detection | Candidate | LedgerEntry, wall: datetime = DAWN) -> Path:
    """A database with these rows, of a run `run-1` at that time."""
    with database.Database.open(path) as opened:
        clerk = recorder.Recorder(opened, run_id="run-1", wall=lambda: wall)
        for row in rows:
            if isinstance(row, Detection):
                clerk.record(row)
            elif isinstance(row, Candidate):
                clerk.trace([row])
            else:
                clerk.account([row])
        assert clerk.close()
    return path


@contextmanager
def machine_zone(name: str) -> Iterator[None]:
    """The machine's own time zone, for a while."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
