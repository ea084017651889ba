"""The composition root: builds everything, starts it, and stops it in reverse, in one function read top to bottom."""

from __future__ import annotations

import os
import secrets
import threading
import zoneinfo
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import structlog

from birdwatchd import __version__
from birdwatchd.audio.continuous import Continuous
from birdwatchd.audio.windows import Plan
from birdwatchd.config.clip_name import ClipName
from birdwatchd.config.zone import station_zone
from birdwatchd.detection.decider import Decider, Rules
from birdwatchd.detection.detector import Naming
from birdwatchd.detection.species_range import Nowhere, SpeciesRange
from birdwatchd.dispatch.context import Surroundings
from birdwatchd.dispatch.desk import Desk
from birdwatchd.dispatch.making import make_actions
from birdwatchd.dispatch.plugins import Plugins
from birdwatchd.model import catalog
from birdwatchd.model.bundle import read_card
from birdwatchd.model.classifier import Classifier
from birdwatchd.model.range_model import load_range_model
from birdwatchd.pipeline import Pipeline
from birdwatchd.service.schedule import Schedule
from birdwatchd.service.signals import stopping_on_signals
from birdwatchd.service.vitals import Vitals
from birdwatchd.store.database import Database
from birdwatchd.store.recorder import Recorder
from birdwatchd.store.retention import Retention
from birdwatchd.store.summary import summary
from birdwatchd.track import History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from birdwatchd.audio.source import Source
    from birdwatchd.config import schema
    from birdwatchd.config.load import Loaded
    from birdwatchd.detection.species_range import Occurrence
    from birdwatchd.domain import DailySummary, Label
    from birdwatchd.model.bundle import Card
    from birdwatchd.pipeline import Listeners

LAG_SECONDS = 15.0
"""How far the classifier may fall behind before sound is skipped."""
STOP_SECONDS = 30.0
"""How long the pipeline may take to finish what was heard."""
HEALTH_SECONDS = 60.0
"""How often actions are told how the node does."""

logger = structlog.get_logger()


def run(loaded: Loaded, listeners: Listeners, on_listening: Callable[[Sequence[Source]], None]) -> bool:
    """Listen until every source is finished or a signal says stop.

    Args:
        loaded: the config.
        listeners: who else is told of detections.
        on_listening: called once everything runs.

    Returns:
        False when something was lost or broke: the exit status is 1 then.

    Raises:
        UserError: something that the user can mend keeps it from starting.
    """
    config = loaded.config
    bundle = catalog.find(config.model.bundle)
    card = read_card(bundle, config.language)
    loaded.refuse_unfit(card.input_seconds, card.labels)
    plan = Plan(config.window_seconds, config.hop_seconds, card.sample_rate, card.input_samples)
    model = f"{card.name}-{card.version}"
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    zone = station_zone(config.location)
    actions = make_actions(config.actions, Plugins())
    stop = threading.Event()

    with ExitStack() as stack:  # left in reverse: capture stops first, the database closes last
        stack.enter_context(stopping_on_signals(stop.set))
        database = stack.enter_context(Database.open(config.store.database))
        retention = Retention(config.store.clips_folder, config.store.retention)
        surroundings = Surroundings(
            run_id=run_id,
            node=config.node,
            location=config.location,
            zone=zone,
            clips_folder=config.store.clips_folder,
            # Nobody asks for sound before this run has heard something, and then there is the pipeline, below.
            sound=lambda *asked: listening.pipeline.clip(*asked),  # noqa: PLW0108 - it is made below
            is_ready=lambda *asked: listening.pipeline.is_ready(*asked),  # noqa: PLW0108 - as above
            make_room=retention.make_room,
        )
        desk = Desk(actions, database, surroundings, keep_days=config.store.delivery_days)
        stack.callback(desk.stop)
        recorder = Recorder(
            database,
            run_id=run_id,
            version=__version__,
            model=model,
            node=config.node,
            config_hash=sha256(repr(config).encode()).hexdigest(),
            trace_days=config.store.trace_days,
            posting=desk.posting,
        )
        desk.start()
        schedule = stack.enter_context(Schedule(zone))
        schedule.every(3600, "retention", retention.tidy, at_once=True)
        classifier = stack.enter_context(
            Classifier.load(
                bundle,
                device=config.model.device,
                precision=config.model.precision,
                inference_threads=config.model.inference_threads,
                batch_size=config.model.batch_size,
                language=config.language,
            )
        )
        vitals = Vitals(node=config.node, version=__version__, model=model, device=classifier.device)
        listening = _Listening(
            Pipeline(
                classifier,
                recorder,
                plan,
                labels=len(card.labels),
                batch_limit=classifier.batch_limit,
                minimum_dbfs=config.deciding.level.minimum_dbfs,
                listeners=replace(listeners, account=vitals.account),
                history=History(_history_seconds(config), desk.first_ready),
            ),
            recorder,
        )
        if config.store.continuous:
            stack.enter_context(
                Continuous(config.store.clips_folder, retention, listening.pipeline.sounds, node=config.node)
            )
        stack.callback(listening.finish)
        rules = Rules(
            config.deciding,
            card.labels,
            card_thresholds=card.thresholds,
            unranged=card.unranged,
            sounds=card.sounds,
        )
        occurrence = _occurrence(config, bundle, card)
        sources = [_source(source, config, card, listening.pipeline.wake) for source in config.sources]
        for source in sources:
            source.start()
            stack.callback(source.stop)
            naming = Naming(
                run_id, source.name, source.site or config.node, model, _clip_path(config, source.name)
            )
            listening.pipeline.add(source, Decider(rules, occurrence, naming))
        listening.start()
        schedule.every(
            HEALTH_SECONDS,
            "health",
            lambda: desk.inform(vitals.health(sources, desk.count_waiting())),
            at_once=True,
        )
        schedule.every(HEALTH_SECONDS, "deliveries", desk.tidy)
        schedule.daily(0, 1, "daily summary", lambda: desk.inform(_yesterday(config, zone)))
        logger.info(
            "listening",
            sources=[source.name for source in sources],
            model=model,
            device=classifier.device,
            database=str(config.store.database),
            actions=[action.config.name for action in actions],
        )
        on_listening(sources)
        watchdog = stack.enter_context(_told_to_systemd(listening.pipeline, sources))
        while listening.is_alive() and not stop.wait(0.2):
            watchdog()
            if any(getattr(source, "stuck", False) for source in sources):
                logger.error(
                    "the sound system does not answer any more; leaving, so that a restart can mend it"
                )
                listening.failed = True
                break
    return not listening.failed


@contextmanager
def _told_to_systemd(pipeline: Pipeline, sources: Sequence[Source]) -> Iterator[Callable[[], None]]:
    """READY at the beginning, STOPPING at the end; what it gives is called often, and feeds the watchdog in between."""
    if "NOTIFY_SOCKET" not in os.environ:
        yield lambda: None
        return
    from birdwatchd.service.progress import Progress
    from birdwatchd.service.systemd import Systemd, Watchdog

    systemd = Systemd.of_environment()
    if systemd is None:
        yield lambda: None
        return
    systemd.ready()
    try:
        yield Watchdog(systemd, Progress(pipeline, sources)).turn
    finally:
        systemd.stopping()
        systemd.close()


class _Listening(threading.Thread):
    """The pipeline's thread, and how it ends: what was heard is analysed, and what was found is on the disk."""

    def __init__(self, pipeline: Pipeline, recorder: Recorder) -> None:
        super().__init__(name="pipeline", daemon=True)
        self.pipeline = pipeline
        self.failed = False
        self._recorder = recorder

    def run(self) -> None:
        try:
            self.pipeline.run()
        except Exception:
            # The one place of this thread. Nothing is analysed any more: the daemon has to end, and says why.
            self.failed = True
            logger.exception("the pipeline failed")

    def finish(self) -> None:
        """Once no source writes any more."""
        self.pipeline.stop()
        if self.ident is not None:
            self.join(STOP_SECONDS)
            if self.is_alive():
                self.failed = True
                logger.error("the pipeline did not end in time", seconds=STOP_SECONDS)
        if not self._recorder.close():
            self.failed = True


def _yesterday(config: schema.Config, zone: tzinfo) -> DailySummary:
    day = (datetime.now(UTC) - timedelta(hours=12)).astimezone(zone).date()
    with Database.open(config.store.database, read_only=True) as database:
        return summary(database, config.node, day, zone)


def _occurrence(config: schema.Config, bundle: Path, card: Card) -> Occurrence:
    """The species range at the station, and a word about it when it is off."""
    if not config.deciding.species_range.enabled:
        logger.info("species range is off", reason="deciding.species_range.enabled is false")
    elif config.location is None:
        logger.warning(
            "species range is off",
            reason="the config has no location: every species of the world may be reported",
        )
    elif not card.has_range:
        logger.warning("species range is off", reason=f"the model {card.name} has none")
    else:
        model = load_range_model(bundle)
        if model is not None:
            return SpeciesRange(model, config.location.latitude, config.location.longitude)
    return Nowhere()


def _source(source: schema.Source, config: schema.Config, card: Card, wake: Callable[[], None]) -> Source:
    """The source that the config describes, not started."""
    ring_seconds = _history_seconds(config) + LAG_SECONDS
    if source.kind == "microphone":
        from birdwatchd.audio.microphone import Microphone

        return Microphone(source, preferred_rate=card.sample_rate, ring_seconds=ring_seconds, wake=wake)
    if source.kind == "stream":
        from birdwatchd.audio.stream import Stream

        return Stream(source, ring_seconds=ring_seconds, wake=wake)
    from birdwatchd.audio.recording import Recording

    return Recording(source, ring_seconds=ring_seconds, wake=wake, zone=_zone(config))


def _zone(config: schema.Config) -> tzinfo | None:
    """The station's zone; None is the machine's own."""
    place = config.location
    return zoneinfo.ZoneInfo(place.timezone) if place and place.timezone else None


def _history_seconds(config: schema.Config) -> float:
    """The longest detection, until it is known to have ended, and the sound that actions want before and after it."""
    wanted = [
        max((getattr(action, name, 0.0) for action in config.actions if action.enabled), default=0.0)
        for name in ("before_seconds", "after_seconds")
    ]
    deciding = config.deciding
    return deciding.max_detection_seconds + deciding.hold_seconds + config.window_seconds + sum(wanted)


def _clip_path(config: schema.Config, source: str) -> Callable[[Label, datetime, str], str] | None:
    """What names the files of a source's detections; None when no clips are kept."""
    if not any(action.kind == "save_clip" and action.enabled for action in config.actions):
        return None
    template, zone = ClipName.parse(config.store.clip_name), _zone(config)

    def name(label: Label, start: datetime, identity: str) -> str:
        return template.render(label=label, source=source, start=start, identity=identity, zone=zone)

    return name
