"""The composition root: builds everything, starts it, and stops it in reverse, in one function read top to bottom."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

import structlog

from birdwatchd import __version__
from birdwatchd.audio.last_resort import reason_to_leave
from birdwatchd.blueprint import Blueprint
from birdwatchd.dispatch.context import Surroundings
from birdwatchd.dispatch.desk import Desk
from birdwatchd.dispatch.links import Links
from birdwatchd.dispatch.making import make_actions
from birdwatchd.dispatch.plugins import Plugins
from birdwatchd.errors import StoreError
from birdwatchd.listening import Listening
from birdwatchd.pipeline import Pipeline
from birdwatchd.places import Places
from birdwatchd.reload import reload
from birdwatchd.routine import tell_regularly, tidy_regularly
from birdwatchd.running import Running
from birdwatchd.service.observer import Parts
from birdwatchd.service.progress import Progress
from birdwatchd.service.reloading import Reloading
from birdwatchd.service.schedule import Schedule
from birdwatchd.service.signals import Stopped, obeying_signals
from birdwatchd.service.station_clock import StationClock
from birdwatchd.service.supervision import supervised
from birdwatchd.service.telling import telling
from birdwatchd.service.vitals import Vitals
from birdwatchd.store.backup import Backups
from birdwatchd.store.counts import Counting
from birdwatchd.store.database import Database
from birdwatchd.store.dating import take_up
from birdwatchd.store.ledger import standing
from birdwatchd.store.recorder import Recorder
from birdwatchd.store.retention import Retention
from birdwatchd.store.reviews import judged_clips
from birdwatchd.store.runs import is_seasoned, last_seen
from birdwatchd.store.summary import Summaries
from birdwatchd.track import History
from birdwatchd.web.house import House
from birdwatchd.web.news import News
from birdwatchd.web.server import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime
    from pathlib import Path

    from birdwatchd.audio.source import Source
    from birdwatchd.config.load import Loaded
    from birdwatchd.domain import Detection
    from birdwatchd.pipeline import Listeners
    from birdwatchd.service.signals import Asked

logger = structlog.get_logger()


def run(loaded: Loaded, listeners: Listeners, on_listening: Callable[[Sequence[Source]], None]) -> bool:
    """Listen until every source is finished or a signal says stop.

    Args:
        loaded: the config.
        listeners: who else is told of detections.
        on_listening: called once everything runs, with the sources there are; the list changes when they do.

    Returns:
        False when something was lost or broke: the exit status is 1 then.

    Raises:
        UserError: something that the user can mend keeps it from starting.
    """
    blueprint = Blueprint.draw(loaded)
    with obeying_signals() as asked:
        try:
            return _listen(loaded, blueprint, listeners, on_listening, asked)
        except Stopped:
            return True


def _listen(
    loaded: Loaded,
    blueprint: Blueprint,
    listeners: Listeners,
    on_listening: Callable[[Sequence[Source]], None],
    asked: Asked,
) -> bool:
    config = blueprint.config
    actions = make_actions(config.actions, Plugins())
    news = News()

    with ExitStack() as stack:  # left in reverse: capture stops first, the database closes last
        backups = Backups.of(config.store)
        database = stack.enter_context(
            Database.open_or_renew(
                config.store.database,
                backups,
                give_way=Retention(
                    config.store.clips_folder, config.store.retention, is_seasoned=lambda: False
                ).tidy,
            )
        )
        asked.look()
        clock = _clock(database)
        run_id = f"{clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        retention = Retention(
            config.store.clips_folder,
            config.store.retention,
            is_seasoned=lambda: _is_seasoned(config.store.database, clock.now()),
            judged=lambda: _judged(config.store.database),
        )
        surroundings = Surroundings(
            run_id=run_id,
            node=config.node,
            location=config.location,
            zone=blueprint.zone,
            clips_folder=config.store.clips_folder,
            # Nobody asks for sound before this run has heard something, and then there is the pipeline, below.
            sound=lambda *asked: listening.pipeline.clip(*asked),  # noqa: PLW0108 - it is made below
            is_ready=lambda *asked: listening.pipeline.is_ready(*asked),  # noqa: PLW0108 - as above
            make_room=retention.make_room,
            links=Links.of(config),
        )
        desk = Desk(actions, database, surroundings, keep_days=config.store.delivery_days, wall=clock.now)
        stack.callback(desk.stop)
        accounted = standing(database)
        recorder = Recorder(
            database,
            run_id=run_id,
            version=__version__,
            model=blueprint.model,
            node=config.node,
            config_hash=sha256(repr(config).encode()).hexdigest(),
            trace_days=config.store.trace_days,
            posting=desk.posting,
            wall=clock.now,
            boot=clock.boot,
        )
        desk.start()
        # Entered before the schedule, so closed after it: while it counts as running, its work finds everything open.
        counting = stack.enter_context(closing(Counting(database, lambda: schedule.zone)))
        summaries = stack.enter_context(
            closing(Summaries(database, config.node, lambda: running.blueprint.zone))
        )
        schedule = stack.enter_context(Schedule(blueprint.zone))
        tidy_regularly(schedule, retention, backups, database, clock, counting)
        stack.enter_context(backups)  # left before the schedule: its thread may be copying
        places = stack.enter_context(Places())
        classifier = places.take("model").enter_context(blueprint.classifier())
        vitals = Vitals(
            node=config.node, version=__version__, model=blueprint.model, device=classifier.device
        )
        listening = Listening(
            Pipeline(
                classifier,
                recorder,
                blueprint.plan,
                labels=len(blueprint.card.labels),
                batch_limit=classifier.batch_limit,
                minimum_dbfs=config.deciding.level.minimum_dbfs,
                listeners=_observed(listeners, vitals, news),
                history=History(blueprint.history_seconds, desk.first_ready),
                trust=clock.trust,
            ),
            recorder,
        )
        del classifier  # a reload may exchange it
        running = Running(
            blueprint=blueprint,
            surroundings=surroundings,
            retention=retention,
            backups=backups,
            desk=desk,
            recorder=recorder,
            schedule=schedule,
            vitals=vitals,
            pipeline=listening.pipeline,
            places=places,
            capture=Places(at_once=True),
            before=accounted,
            trust=clock.trust,
        )
        running.record_continuously()
        stack.callback(listening.finish)
        asked.look()
        listening.start()
        stack.enter_context(running.capture)
        # By hand a mistake is wanted at once; a station that boots has to wait for its USB.
        running.open_all(patient="NOTIFY_SOCKET" in os.environ, look=asked.look)
        tell_regularly(running, summaries, clock)
        observer = stack.enter_context(
            telling(
                Parts(
                    run_id=run_id,
                    version=__version__,
                    path=loaded.path,
                    config=lambda: running.blueprint.config,
                    zone=lambda: running.blueprint.zone,
                    sources=running.sources,
                    pipeline=listening.pipeline,
                    vitals=vitals,
                    recorder=recorder,
                    desk=desk,
                    schedule=schedule,
                    clips_size=lambda: retention.size,
                    recording_faults=running.recording_faults,
                    progress=Progress(listening.pipeline, running.sources),
                    clock_is_set=lambda: clock.is_set,
                )
            )
        )
        running.page = stack.enter_context(
            Page(
                House(
                    config=lambda: running.blueprint.config,
                    zone=lambda: running.blueprint.zone,
                    status=observer.status,
                    model=lambda: running.blueprint.model,
                    plan=lambda: running.blueprint.plan,
                    labels=lambda: running.blueprint.card.labels,
                    sources=lambda: tuple(running.sources),
                    news=news,
                )
            )
        )
        logger.info(
            "listening",
            sources=[source.name for source in running.sources],
            model=blueprint.model,
            device=vitals.device,
            database=str(config.store.database),
            actions=[action.config.name for action in actions],
        )
        on_listening(running.sources)
        supervision = stack.enter_context(supervised(listening.pipeline, running.sources))
        reloading = Reloading(asked, supervision, partial(reload, running, loaded.path))
        stack.callback(reloading.finish)
        while listening.is_alive() and asked.goes_on(0.2):
            supervision.turn()
            observer.turn()
            clock.turn(recorder.move_deliveries)
            reloading.turn()
            if reason := reason_to_leave(running.sources):
                logger.error("leaving, since only a new process can mend this", reason=reason)
                listening.failed = True
                break
    return not listening.failed


def _observed(listeners: Listeners, vitals: Vitals, news: News) -> Listeners:
    """The same, and what happens is counted."""

    def detected(detection: Detection) -> None:
        vitals.detected(detection)
        news.tell(detection)
        if listeners.detection is not None:
            listeners.detection(detection)

    return replace(listeners, account=vitals.account, batch=vitals.batch, detection=detected)


def _clock(database: Database) -> StationClock:
    clock = StationClock()
    take_up(database, *clock.boot, clock.now())
    return StationClock(last_seen(database))


def _judged(path: Path) -> Collection[str]:
    """The clips that give way last; none while the database is in trouble: room has to be made all the same."""
    try:
        with Database.open(path, read_only=True) as database:
            return judged_clips(database)
    except StoreError:  # the recorder says so
        return ()


def _is_seasoned(path: Path, now: datetime) -> bool:
    with Database.open(path, read_only=True) as database:
        return is_seasoned(database, now)
