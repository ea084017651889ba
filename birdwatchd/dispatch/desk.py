"""The desk: all actions of a run with their workers, from the making of a delivery to its end."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from birdwatchd.dispatch.router import Router
from birdwatchd.dispatch.worker import Worker
from birdwatchd.errors import StoreError
from birdwatchd.store.outbox import Outbox
from birdwatchd.store.posting import Posting
from birdwatchd.sun import Sky
from birdwatchd.trust import EARLIEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from birdwatchd.actions import Action
    from birdwatchd.dispatch.context import Surroundings
    from birdwatchd.dispatch.worker import Standing
    from birdwatchd.domain import DailySummary, Health
    from birdwatchd.store.database import Database

DRAIN_SECONDS = 10.0
"""How long the actions have for what is still due when the daemon ends."""

_LEAVING_SECONDS = 0.5
"""More for noting what was done."""

logger = structlog.get_logger()


def _now() -> datetime:
    return datetime.now(UTC)


class Desk:
    """Starts and stops the workers. `posting` is what the recorder needs to make deliveries."""

    def __init__(
        self,
        actions: Sequence[Action],
        database: Database,
        surroundings: Surroundings,
        *,
        keep_days: float = 30.0,
        wall: Callable[[], datetime] = _now,
    ) -> None:
        """Deliveries that are settled are forgotten after `keep_days`; that may change. `wall` tells the time.

        Raises:
            StoreError: the database cannot be read.
        """
        self._outbox = Outbox(database)
        self.keep_days = keep_days
        self._wall = wall
        self.posting = Posting(self._router(actions, surroundings), surroundings.zone, self.wake)
        self._run_id = surroundings.run_id
        self._leaving: list[Worker] = []
        # Replaced, never changed: asked by any thread.
        self._workers: dict[str, Worker] = {}
        self._bounded: list[str] = []
        self._staff(actions, surroundings)

    @property
    def actions(self) -> list[Action]:
        """Those that are at work."""
        return [worker.action for worker in self._workers.values()]

    def route(self, actions: Sequence[Action], surroundings: Surroundings) -> None:
        """Make deliveries for these actions from now on. While nothing is recorded; `employ` has to follow.

        Raises:
            StoreError: the database cannot be read.
        """
        self.posting.ask(self._router(actions, surroundings), surroundings.zone)

    def employ(self, actions: Sequence[Action], surroundings: Surroundings) -> None:
        """Work with these actions from now on. Those that are there already go on as they are.

        The others do what is due, and end. One that has the name of such a one begins when that has ended.
        """
        before = self._workers
        deadline = time.monotonic() + DRAIN_SECONDS
        self._staff(actions, surroundings)
        for name, worker in before.items():
            if self._workers.get(name) is not worker:
                worker.finish(deadline)
                self._leaving = [*(one for one in self._leaving if one.is_alive()), worker]
        self.start()

    def _router(self, actions: Sequence[Action], surroundings: Surroundings) -> Router:
        place = surroundings.location
        router = Router(actions, surroundings.zone, Sky(place, surroundings.zone) if place else None)
        now = self._wall()
        # On a clock of 1970 all that ever was is still to come, and nothing is near.
        if router.memory and now >= EARLIEST:
            router.remember(reversed(list(self._outbox.since(now - router.memory))))
        return router

    def _staff(self, actions: Sequence[Action], surroundings: Surroundings) -> None:
        workers = {}
        for action in actions:
            if action.config.enabled:
                name = action.config.name
                worker = self._workers.get(name)
                if worker is None or worker.action is not action:
                    worker = Worker(action, self._outbox, surroundings, after=worker, wall=self._wall)
                worker.move(surroundings)
                workers[name] = worker
        self._bounded = [name for name, worker in workers.items() if worker.action.durability == "bounded"]
        self._workers = workers

    def start(self) -> None:
        """Let the workers begin that have not yet."""
        for worker in self._workers.values():
            if worker.ident is None:
                worker.start()

    def wake(self, actions: set[str]) -> None:
        """There is something new for these actions. From any thread."""
        workers = self._workers
        for name in actions & workers.keys():
            workers[name].wake()

    def inform(self, news: Health | DailySummary) -> None:
        """Tell every action. From any thread."""
        for worker in self._workers.values():
            worker.inform(news)

    def standings(self) -> list[Standing]:
        """How each action does. From any thread."""
        return [worker.standing() for worker in tuple(self._workers.values())]

    def count_waiting(self, *actions: str) -> int:
        """How many deliveries wait, for these actions, or for all there ever were.

        Raises:
            StoreError: the database cannot be read.
        """
        return self._outbox.count_waiting(actions)

    def first_ready(self, source: str) -> int | None:
        """Up to where a source's sound has to be analysed for the first clip that is still to be made of it; None: none is."""
        try:
            return self._outbox.first_ready(self._bounded, source, self._run_id) if self._bounded else None
        except StoreError as error:
            logger.debug("deliveries cannot be read", reason=str(error))
            return None

    def tidy(self) -> None:
        """Forget what was settled long ago, and give up what waits for actions that are gone. To be called now and then.

        Raises:
            StoreError: the database cannot be read.
        """
        now = self._wall()
        try:
            if self._outbox.is_seasoned(now):
                self._outbox.prune(now - timedelta(days=self.keep_days))
            self._outbox.expire_others(self._workers, now)
        except sqlite3.Error as error:
            logger.debug(
                "deliveries are not tidied", reason=str(error)
            )  # whoever has to write says what is wrong

    def stop(self, seconds: float = DRAIN_SECONDS) -> None:
        """Let every action do what is due, and end; all of them have these seconds. What is left waits for the next start."""
        deadline = time.monotonic() + seconds
        workers = [*self._leaving, *self._workers.values()]
        for worker in workers:
            worker.action.ends_at = deadline - _LEAVING_SECONDS
            worker.finish(deadline)
        started = [worker for worker in workers if worker.ident is not None]
        for worker in started:
            worker.join(max(0.0, deadline + _LEAVING_SECONDS - time.monotonic()))
            if worker.is_alive():
                logger.warning("action did not end in time", action=worker.name_of_action, seconds=seconds)
        if not any(worker.is_alive() for worker in started):
            self._outbox.close()
