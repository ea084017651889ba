"""A daemon that is put together for the observer: its parts say what a test tells them to."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from birdwatchd.audio.clock import FileClock
from birdwatchd.audio.ring import Ring
from birdwatchd.config.schema import Config
from birdwatchd.dispatch.worker import Standing
from birdwatchd.errors import StoreError
from birdwatchd.service.observer import Observer, Parts
from birdwatchd.service.progress import Progress
from birdwatchd.service.schedule import Schedule
from birdwatchd.service.vitals import Vitals
from tests.ports import free_port as free_port  # noqa: PLC0414 - the benchmarks have it from here

if TYPE_CHECKING:
    from birdwatchd.audio.source import Source
    from birdwatchd.listening_hours import ListeningHours

RATE = 1000


class Tape:
    """A source, what the pipeline knows of it, and the pipeline."""

    name, site, finished, fault, waits = "garden", "", False, "", False

    def __init__(self) -> None:
        self.ring = Ring(60 * RATE, RATE)
        self.clock = FileClock(RATE)
        self.clock.anchor(0, datetime.now(UTC))
        self.silence = 0.0
        self.listening: ListeningHours | None = None
        self.resting = False
        self.heard_to: int | None = 0
        self.heartbeat = 0.0

    def play(self, seconds: float) -> None:
        self.ring.write(np.tile([0.1, -0.1], round(seconds * RATE / 2)).astype(np.float32))

    def analysed_to(self, _source: str) -> int | None:
        return self.heard_to

    def silent_seconds(self, _source: str) -> float:
        return self.silence

    def rests(self, _source: str) -> bool:
        return self.resting

    def hours(self, _source: str) -> ListeningHours | None:
        return self.listening


class Desk:
    standing = Standing("tell", "mqtt", {"done": 3, "dead": 1}, "")
    waits: int | None = 2

    def standings(self) -> list[Standing]:
        return [self.standing]

    def count_waiting(self, *_actions: str) -> int:
        if self.waits is None:
            raise StoreError("no disk")
        return self.waits


class Recorder:
    pending, fault = 0, ""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Station:
    """A daemon that does well, until a test sees to it."""

    def __init__(self, database: Path) -> None:
        self.tape, self.desk, self.recorder, self.clock = Tape(), Desk(), Recorder(), Clock()
        self.tape.heartbeat = self.clock.now
        self.clock_is_set = True
        self.recording_faults: list[str] = []
        self.schedule = Schedule()
        self.vitals = Vitals(node="wood", version="1", model="tiny-1", device="cpu")
        source = cast("Source", self.tape)
        self.config = Config.model_validate(
            {
                "node": "wood",
                "sources": [{"kind": "microphone", "name": "garden"}],
                "store": {"database": str(database)},
            }
        )
        self.observer = Observer(
            Parts(
                run_id="run",
                version="1",
                path=Path("config.yaml"),
                config=lambda: self.config,
                zone=lambda: UTC,
                sources=[source],
                pipeline=self.tape,
                vitals=self.vitals,
                recorder=self.recorder,
                desk=self.desk,
                schedule=self.schedule,
                clips_size=lambda: 5,
                progress=Progress(self.tape, [source]),
                clock_is_set=lambda: self.clock_is_set,
                recording_faults=lambda: self.recording_faults,
            ),
            monotonic=self.clock,
        )

    def ask(self) -> dict[str, Any]:
        self.clock.now += 1
        said: dict[str, Any] = json.loads(self.observer.status().to_json())
        return said

    def wrong(self) -> tuple[list[str], list[str]]:
        said = self.ask()
        return said["faults"], said["warnings"]
