"""A reload: the config is read again, and what it changes is exchanged while the rest runs on.

The whole new file is right, or nothing happens. What changed is named in the log, and only that is stopped and started.
What cannot be changed in a process that runs is named too, and stays as it is until the next start.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from pydantic import BaseModel

from birdwatchd.blueprint import Blueprint
from birdwatchd.config.changes import changes, spelt
from birdwatchd.config.load import load
from birdwatchd.config.secrets import Secrets
from birdwatchd.dispatch.links import Links
from birdwatchd.dispatch.making import make_actions
from birdwatchd.dispatch.plugins import Plugins, schemas
from birdwatchd.errands import Ended
from birdwatchd.errors import StoreError, UserError
from birdwatchd.running import LEFT_OUT, OPENED_ANEW
from birdwatchd.service.logs import set_up, tell_repeats
from birdwatchd.store.backup import Backups
from birdwatchd.track import History

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from birdwatchd.actions import Action
    from birdwatchd.audio.source import Source
    from birdwatchd.config import schema
    from birdwatchd.config.changes import Place
    from birdwatchd.dispatch.context import Surroundings
    from birdwatchd.model.classifier import Classifier
    from birdwatchd.running import Running

EXCHANGED: tuple[Place, ...] = (
    *(
        (section,)
        for section in ("location", "language", "model", "sources", "listening", "deciding", "actions")
    ),
    *((section,) for section in ("window_seconds", "hop_seconds", "log", "web")),
    *(
        ("store", name)
        for name in ("trace_days", "delivery_days", "clip_name", "continuous", "retention", "backup")
    ),
)
"""What can be changed in a daemon that runs. Everything else takes a restart: who it is and where it writes, above all, as
the rows, topics and files of a run belong together."""
ONLY_SAID: dict[str, Any] = {"site": "", "listening": None}
"""Settings of a source that its sound does not depend on."""

Section = TypeVar("Section", bound=BaseModel)

logger = structlog.get_logger()


def reload(running: Running, path: Path, goes_on: Callable[[], bool] = lambda: True) -> bool:
    """Read the config at `path`, and run with it from now on. In any thread but the pipeline's, one at a time.

    Once the daemon does not go on, nothing is begun any more.

    Returns:
        False when it was not taken, or not all of it; the log says why.
    """
    tell_repeats(everything=True)  # whoever tries again wants to hear of it again
    try:
        with ExitStack() as fresh:
            return _Reload(running, Blueprint.draw(load(path, actions=schemas())), goes_on).make(fresh)
    except UserError as error:
        logger.error("config not taken, the old one stays", mistakes=str(error).splitlines())  # noqa: TRY400 - they say it all
    except Ended:
        logger.warning("config not read again, as the daemon is ending")
    except Exception:
        # The one place of this thread: listening goes on.
        logger.exception("reload failed; restart birdwatchd, to be sure what it runs with")
    return False


class _Reload:
    """From what runs to what is to run."""

    def __init__(self, running: Running, after: Blueprint, goes_on: Callable[[], bool]) -> None:
        self.running = running
        self.goes_on = goes_on
        self.before = running.blueprint
        found = changes(self.before.config, after.config)
        self.changed = {place: how for place, how in found.items() if _is_exchanged(place)}
        self.restart = [place for place in found if place not in self.changed]
        self.after = replace(after, config=_kept(self.before.config, after.config, self.restart))
        self.other_file = after.bundle_state != self.before.bundle_state
        self.failed: list[str] = []

    def make(self, fresh: ExitStack) -> bool:
        """Do it. `fresh` holds what is begun and not in its place yet."""
        running, before, after = self.running, self.before, self.after
        secrets = Secrets(before.config, after.config)
        set_up(before.config.log, secrets)
        self._announce()
        classifier = fresh.enter_context(after.classifier()) if self._touches("model") else None
        actions = self._actions()
        surroundings = replace(
            running.surroundings,
            location=after.config.location,
            zone=after.zone,
        )
        self._look()  # a model may have taken long
        self._judge(classifier, actions, surroundings)
        # From here on nothing is refused any more.
        set_up(after.config.log, secrets)
        running.pipeline.expects_more = True
        try:
            if classifier is not None:
                running.places.leave("model")
                running.places.take("model").push(fresh.pop_all())
                running.vitals.runs(after.model, classifier.device)
                _give_memory_back()
            running.retention.limit(after.config.store.retention)
            running.backups.follow(Backups.of(after.config.store))
            running.recorder.trace_days = after.config.store.trace_days
            running.desk.keep_days = after.config.store.delivery_days
            if self._touches("web"):
                self._page()
            # Messages have to link to where the page is: it may have stayed.
            running.surroundings = replace(surroundings, links=Links.of(running.blueprint.config))
            self._look()
            running.desk.employ(actions, running.surroundings)
            self._sources()
            running.record_continuously()
            if self._touches("location"):
                running.schedule.move(after.zone)
        finally:
            # Without any source it waits for the next reload, instead of being at the end of all recordings.
            running.pipeline.expects_more = not running.sources
        with suppress(StoreError):  # the database is in trouble, and the recorder says so
            running.desk.inform(running.health())
        logger.info("reloaded", sources=[source.name for source in running.sources], model=after.model)
        return not self.failed

    def _look(self) -> None:
        if not self.goes_on():
            raise Ended

    def _touches(self, *sections: str) -> bool:
        """Whether one of these settings, or one below them, changed."""
        if "model" in sections and self.other_file:
            return True
        return any(place[0] in sections for place in self.changed)

    def _announce(self) -> None:
        named = [
            spelt(place) + ("" if how == "changed" else f" ({how})") for place, how in self.changed.items()
        ]
        if self.other_file and ("model", "bundle") not in self.changed:
            named.append("model.bundle (another file)")
        logger.info("reloading", changed=named)
        if self.restart:
            logger.warning("these take a restart", settings=[spelt(place) for place in self.restart])

    def _actions(self) -> list[Action]:
        """Those that did not change are the very same."""
        there = {action.config.name: action for action in self.running.desk.actions}
        actions: list[Action] = []
        for config in self.after.config.actions:
            known = there.get(config.name)
            if known is not None and known.config == config:
                actions.append(known)
            else:
                actions += make_actions([config], Plugins())
        return actions

    def _judge(
        self, classifier: Classifier | None, actions: list[Action], surroundings: Surroundings
    ) -> None:
        """Exchange rules, and the model, between two windows; or nothing at all."""
        running, after, pipeline = self.running, self.after, self.running.pipeline
        old = running.blueprint, running.surroundings, running.rules, running.occurrence
        running.blueprint, running.surroundings = after, surroundings
        if self._touches("model", "language", "location", "deciding"):
            running.rules = after.rules()
        if self._touches("model", "location") or ("deciding", "species_range", "enabled") in self.changed:
            running.occurrence = after.occurrence()
        described = running.described | {one.name: one for one in after.config.sources}
        deciders = {source.name: running.decider(described[source.name]) for source in running.sources}
        hours = {name: after.listening_hours(described[name]) for name in deciders}
        history = History(after.history_seconds, running.desk.first_ready)
        for source in running.sources:
            source.ring.grow(round(after.ring_seconds * source.ring.sample_rate))

        def change() -> None:
            running.desk.route(actions, surroundings)
            if classifier is not None:
                pipeline.listen_with(
                    classifier, labels=len(after.card.labels), batch_limit=classifier.batch_limit
                )
            if after.plan != self.before.plan or classifier is not None:
                pipeline.divide_by(after.plan, deciders)
            else:
                pipeline.judge_by(deciders)
            pipeline.keep(history, after.config.deciding.level.minimum_dbfs)
            if self._touches("listening", "location", "sources", "actions"):
                pipeline.listen_at(hours)

        try:
            pipeline.between(change)
        except BaseException:
            running.blueprint, running.surroundings, running.rules, running.occurrence = old
            raise

    def _sources(self) -> None:
        """Close what is gone or different, open what is different or new."""
        running = self.running
        new = {one.name: one for one in self.after.config.sources}
        for source in tuple(running.sources):
            name, described = source.name, running.described[source.name]
            if name not in new:
                running.close(source)
                running.let_go(source, LEFT_OUT)
            elif _sounds_like(described, new[name]):
                running.described[name] = new[name]
            else:
                self._reopen(source, described, new[name])
        for name, described in new.items():
            if name not in running.described and name not in self.failed:
                opened = self._open(described)
                if opened is not None:
                    running.listen_to(opened, described)
        sources = tuple(running.described[name] for name in new if name in running.described)
        config = self.after.config.model_copy(update={"sources": sources})
        running.blueprint = replace(running.blueprint, config=config)

    def _page(self) -> None:
        """Show it as the config wants it; or as before, where that does not work."""
        try:
            self.running.page.show(self.after.config.web)
        except UserError as error:
            logger.error("page cannot be shown", reason=str(error))  # noqa: TRY400 - it says it all
            self.failed.append("web")
            config = self.after.config.model_copy(update={"web": self.before.config.web})
            self.running.blueprint = self.after = replace(self.after, config=config)
            with suppress(UserError):
                self.running.page.show(config.web)
                logger.warning("page goes on as it was")

    def _reopen(self, source: Source, old: schema.Source, new: schema.Source) -> None:
        """Another device or address in the place of a source; or the same as before, where that does not work."""
        running = self.running
        running.close(source)
        opened, described = self._open(new), new
        if opened is None and (opened := self._open(old, patient=True)) is not None:
            described = old
            logger.warning("source goes on as it was", source=old.name)
        running.let_go(source, OPENED_ANEW)
        if opened is not None:
            running.listen_to(opened, described)

    def _open(self, described: schema.Source, *, patient: bool = False) -> Source | None:
        self._look()
        try:
            return self.running.open(described, patient=patient)
        except UserError as error:
            logger.error("source cannot be opened", source=described.name, reason=str(error))  # noqa: TRY400 - it says it all
            self.failed.append(described.name)
            return None


def _give_memory_back() -> None:
    """The C library keeps what the old model has freed: half a model more with each exchange, where nobody asks for it."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others do it by themselves
    if trim is not None:
        trim(0)


def _is_exchanged(place: Place) -> bool:
    return any(place[: len(known)] == known for known in EXCHANGED)


def _kept(before: Section, after: Section, places: Collection[Place]) -> Section:
    """The new config, but with the old values of these settings."""
    old: dict[str, Any] = {}
    for name in {place[0] for place in places}:
        below = [place[1:] for place in places if place[0] == name]
        one, other = getattr(before, name), getattr(after, name)
        old[name] = _kept(one, other, below) if all(below) and type(one) is type(other) else one
    return after.model_copy(update=old)


def _sounds_like(before: schema.Source, after: schema.Source) -> bool:
    """Whether a source need not be opened anew."""
    return before.model_copy(update=ONLY_SAID) == after.model_copy(update=ONLY_SAID)
