"""The daemon while it runs: the parts that come and go, and how each of them does."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from birdwatchd.audio.continuous import Continuous
from birdwatchd.detection.decider import Decider
from birdwatchd.errands import Ended

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from birdwatchd.audio.source import Source
    from birdwatchd.blueprint import Blueprint
    from birdwatchd.config import schema
    from birdwatchd.detection.decider import Rules
    from birdwatchd.detection.species_range import Occurrence
    from birdwatchd.dispatch.context import Surroundings
    from birdwatchd.dispatch.desk import Desk
    from birdwatchd.domain import Health
    from birdwatchd.pipeline import Pipeline
    from birdwatchd.places import Places
    from birdwatchd.service.schedule import Schedule
    from birdwatchd.service.vitals import Vitals
    from birdwatchd.store.backup import Backups
    from birdwatchd.store.recorder import Recorder
    from birdwatchd.store.retention import Retention
    from birdwatchd.trust import Trust
    from birdwatchd.web.server import Page

OPENED_ANEW, LEFT_OUT = "opened anew", "not in the config"
"""Causes in the ledger of a time in which nobody was meant to listen."""


@dataclass(slots=True)
class Running:
    """What the daemon is made of just now. One thread at a time builds it and changes it."""

    blueprint: Blueprint
    surroundings: Surroundings
    retention: Retention
    backups: Backups
    desk: Desk
    recorder: Recorder
    schedule: Schedule
    vitals: Vitals
    pipeline: Pipeline
    places: Places
    """Where the model stands, and continuous recording."""
    capture: Places
    """Where each source stands, by its name."""
    before: dict[str, tuple[datetime, str]]
    """Up to when a source was accounted for before, and how that ended; each is told once."""
    trust: Trust
    """Judges the system clock."""
    rules: Rules = field(init=False)
    occurrence: Occurrence = field(init=False)
    sources: list[Source] = field(default_factory=list)
    """Those that are listened to; others look at it, too."""
    recording: Continuous | None = None
    """What writes down all that is heard, where the config asks for it."""
    described: dict[str, schema.Source] = field(default_factory=dict)
    """What the config says of each of them."""
    page: Page = field(init=False)
    """What people look at; there once the rest is."""
    _ends: dict[str, int] = field(default_factory=dict)
    """Of sources that were let go of: the index that the next sample would have had."""

    def __post_init__(self) -> None:
        self.rules, self.occurrence = self.blueprint.rules(), self.blueprint.occurrence()

    def decider(self, described: schema.Source) -> Decider:
        """What judges the windows of a source."""
        naming = self.blueprint.naming(described, self.surroundings.run_id, self.trust)
        return Decider(self.rules, self.occurrence, naming)

    def open_all(self, *, patient: bool, look: Callable[[], None]) -> None:
        """Listen to every source of the config. The pipeline has to run, and not to end for want of sources.

        `look` is called before each: it may raise.

        Raises:
            UserError: one of them cannot be opened.
        """
        for described in self.blueprint.config.sources:
            look()
            self.listen_to(self.open(described, patient=patient), described)
        self.pipeline.expects_more = False

    def open(self, described: schema.Source, *, patient: bool) -> Source:
        """Begin to capture; nobody listens to it yet. Its samples are counted on from what it was before in this run.

        Raises:
            UserError: it can never work, or does not now and is not waited for.
            Ended: all sources were closed for good meanwhile.
        """
        first = self._ends.get(described.name, 0)
        source = self.blueprint.source(described, self.pipeline.wake, first_sample=first, patient=patient)
        source.start()
        try:
            self.capture.take(source.name).callback(source.stop)
        except Ended:
            source.stop()
            raise
        return source

    def listen_to(self, source: Source, described: schema.Source) -> None:
        """Analyse what a source captures. The pipeline has to run."""
        add = partial(
            self.pipeline.add,
            source,
            self.decider(described),
            self.before.pop(source.name, None),
            hours=self.blueprint.listening_hours(described),
        )
        self.pipeline.between(add)
        self.described[source.name] = described
        self.sources.append(source)

    def close(self, source: Source) -> None:
        """Capture nothing more of it."""
        self.capture.leave(source.name)
        self._ends[source.name] = source.ring.written

    def let_go(self, source: Source, cause: str) -> None:
        """Analyse a source that was closed to its end, and forget it; `cause` is why it is not heard from then on."""
        until = self.pipeline.remove(source.name)
        if until is not None:
            self.before[source.name] = until, cause
        self.sources.remove(source)
        del self.described[source.name]

    def health(self) -> Health:
        """How it does now."""
        return self.vitals.health(self.sources, self.desk.count_waiting())

    def recording_faults(self) -> list[str]:
        """What is not written down although the config asks for it, in sentences. From any thread."""
        recording = self.recording
        return [] if recording is None else recording.faults

    def record_continuously(self) -> None:
        """Write down all that is heard where the config asks for it, and stop that where it does not."""
        store = self.blueprint.config.store
        if not store.continuous:
            self.places.leave("continuous")
            self.recording = None
        elif "continuous" not in self.places:
            self.recording = Continuous(
                store.clips_folder, self.retention, self.pipeline.sounds, node=self.blueprint.config.node
            )
            self.places.take("continuous").enter_context(self.recording)
