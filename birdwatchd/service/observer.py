"""The observer: looks at every part of the daemon, from any thread, and says how it does."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from birdwatchd.config.secrets import Secrets
from birdwatchd.errors import StoreError
from birdwatchd.scoring import FAILED
from birdwatchd.service import machine, troubles
from birdwatchd.service.status import (
    ActionStatus,
    ClockStatus,
    HoursStatus,
    Seconds,
    SourceStatus,
    Status,
    StoreStatus,
)
from birdwatchd.service.today import Today
from birdwatchd.service.vitals import TOO_SLOW
from birdwatchd.service.written import written_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from birdwatchd.audio.source import Source
    from birdwatchd.config.schema import Config
    from birdwatchd.domain import SourceHealth
    from birdwatchd.listening_hours import ListeningHours
    from birdwatchd.service.progress import Progress
    from birdwatchd.service.schedule import Schedule
    from birdwatchd.service.status import State
    from birdwatchd.service.vitals import Vitals

PATIENCE_SECONDS = 30.0
"""What stands still for longer hangs; the watchdog's usual patience, too."""
LOOK_SECONDS = 1.0
AGAIN_SECONDS = 0.5
"""Who asks more often gets the same answer: asking must not cost the daemon its time."""


class Pipeline(Protocol):
    """What it needs of the pipeline. Asked from any thread."""

    def analysed_to(self, source: str) -> int | None: ...

    def silent_seconds(self, source: str) -> float: ...

    def rests(self, source: str) -> bool: ...

    def hours(self, source: str) -> ListeningHours | None: ...


class Standing(Protocol):
    """What it needs of an action."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def settled(self) -> Mapping[str, int]: ...

    @property
    def trouble(self) -> str: ...


class Desk(Protocol):
    """What it needs of those that act. Asked from any thread."""

    def standings(self) -> Sequence[Standing]: ...

    def count_waiting(self, *actions: str) -> int: ...


class Recorder(Protocol):
    """What it needs of the recorder. Asked from any thread."""

    @property
    def pending(self) -> int: ...

    @property
    def fault(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What is looked at."""

    run_id: str
    version: str
    path: Path
    """Of the config file."""
    config: Callable[[], Config]
    """The one that counts just now."""
    zone: Callable[[], tzinfo]
    sources: Sequence[Source]
    """Looked at anew each time: they may come and go."""
    pipeline: Pipeline
    vitals: Vitals
    recorder: Recorder
    desk: Desk
    schedule: Schedule
    clips_size: Callable[[], int | None]
    progress: Progress
    clock_is_set: Callable[[], bool] = lambda: True
    recording_faults: Callable[[], Sequence[str]] = tuple
    """Of continuous recording."""


class Observer:
    """Made once the daemon runs. `turn` belongs to the main thread."""

    def __init__(self, parts: Parts, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._parts = parts
        self._monotonic = monotonic
        self._started = datetime.now(UTC)
        self._lock = threading.Lock()
        self._turned = self._looked = monotonic()
        self._hangs = ""
        self._secrets = Secrets()
        self._known: Config | None = None
        self._latest: tuple[float, Status] | None = None
        self._today = Today(parts.zone, monotonic=monotonic)

    def turn(self) -> None:
        """See whether all goes on. To be called often, by the main thread: it hangs when nobody does."""
        self._turned = now = self._monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._hangs = self._parts.progress.hangs(now, PATIENCE_SECONDS)
            self._parts.schedule.turn()

    def status(self) -> Status:
        """How it does now. From any thread."""
        with self._lock:
            now = self._monotonic()
            if self._latest is None or now - self._latest[0] >= AGAIN_SECONDS:
                self._latest = now, self._look()
            return self._latest[1]

    def _look(self) -> Status:
        parts, config = self._parts, self._parts.config()
        if config is not self._known:
            self._known = config
            self._secrets.learn(config)
        health = parts.vitals.health(tuple(parts.sources), 0)
        today = self._today.seconds(config.store.database)
        kinds = {source.name: source.kind for source in config.sources}
        by_name = {source.name: source for source in tuple(parts.sources)}
        sources = [
            self._source(by_name[one.name], one, kinds.get(one.name, ""), today)
            for one in health.sources
            if one.name in by_name
        ]
        actions = [self._action(one) for one in parts.desk.standings()]
        store = self._store(config)
        schedule = [replace(job, outcome=self._secrets.fit(job.outcome)) for job in parts.schedule.jobs()]
        return Status(
            node=config.node,
            version=parts.version,
            run_id=parts.run_id,
            config=str(parts.path.absolute()),
            at=datetime.now(UTC),
            started=self._started,
            uptime_seconds=parts.vitals.uptime_seconds,
            faults=[
                *self._standstills(),
                *troubles.deafness(sources, resting=False),
                *[store.fault] * bool(store.fault),
            ],
            warnings=[
                *troubles.deafness(sources, resting=True),
                *self._skipping(),
                *troubles.in_clock(is_set=parts.clock_is_set()),
                *troubles.in_acting(actions),
                *troubles.in_room(config.store, store),
                *map(self._secrets.fit, parts.recording_faults()),
                *troubles.in_schedule(schedule, datetime.now(UTC)),
            ],
            sources=sources,
            model=parts.vitals.model(),
            actions=actions,
            schedule=schedule,
            store=store,
            clock=ClockStatus(
                synchronised=machine.clock_is_synchronised(),
                steps=parts.schedule.clock_steps,
                zone=str(parts.zone()),
            ),
            process=machine.process(),
        )

    def _skipping(self) -> list[str]:
        return [
            f"{source.name}: {cause}, sound was skipped in the last minutes"
            for source in tuple(self._parts.sources)
            for cause in (TOO_SLOW, FAILED)
            if self._parts.vitals.was_skipped(source.name, cause)
        ]

    def _standstills(self) -> list[str]:
        idle = self._monotonic() - self._turned
        if idle > PATIENCE_SECONDS:
            return [f"the main thread has not turned for {idle:.0f} s"]
        return [self._hangs] * bool(self._hangs)

    def _source(
        self, source: Source, health: SourceHealth, kind: str, today: Mapping[str, Seconds] | None
    ) -> SourceStatus:
        pipeline, name = self._parts.pipeline, source.name
        listening = pipeline.hours(name)
        turn = None if listening is None else listening.turn(_now_of(source))
        analysed = pipeline.analysed_to(name)
        behind = 0 if analysed is None else max(0, source.ring.written - analysed)
        state: State = "listening"
        if health.fault:
            state = "away"
        elif source.finished:
            state = "finished"
        elif pipeline.rests(name):
            state = "resting"
        nothing = Seconds(0.0, 0.0, 0.0, {}, {})
        return SourceStatus(
            name=name,
            site=source.site,
            kind=kind,
            state=state,
            fault=self._secrets.fit(health.fault),
            level_dbfs=round(health.level_dbfs, 1),
            last_block_age_seconds=round(health.last_block_age_seconds, 3),
            behind_seconds=round(behind / source.ring.sample_rate, 3),
            silent_seconds=pipeline.silent_seconds(name),
            hours=None if turn is None else HoursStatus(turn.inside, turn.until if turn.is_change else None),
            detections=self._parts.vitals.detections(name),
            run=self._parts.vitals.seconds(name),
            today=None if today is None else today.get(name, nothing),
        )

    def _action(self, standing: Standing) -> ActionStatus:
        try:
            waiting: int | None = self._parts.desk.count_waiting(standing.name)
        except StoreError:
            waiting = None  # the recorder says what is wrong with the database
        trouble = self._secrets.fit(standing.trouble)
        return ActionStatus(standing.name, standing.kind, waiting, dict(standing.settled), trouble)

    def _store(self, config: Config) -> StoreStatus:
        recorder, database = self._parts.recorder, config.store.database
        return StoreStatus(
            database=str(database),
            database_bytes=machine.file_bytes(database),
            clips_bytes=self._parts.clips_size(),
            free_bytes=machine.free_bytes(database),
            written_bytes=written_bytes(),
            pending=recorder.pending,
            fault=self._secrets.fit(recorder.fault),
        )


def _now_of(source: Source) -> datetime:
    """The time of what a source hears now: a recording has its own."""
    try:
        return source.clock.at(source.ring.written) if getattr(source, "waits", False) else datetime.now(UTC)
    except LookupError:
        return datetime.now(UTC)  # nothing was read of it yet
