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
        """Deliveries that are settled are forgotten after `keep_days`. `wall` tells the time.

        Raises:
            StoreError: the database cannot be read.
        """
        place = surroundings.location
        router = Router(actions, surroundings.zone, Sky(place, surroundings.zone) if place else None)
        self._outbox = Outbox(database)
        self._keep = timedelta(days=keep_days)
        self._wall = wall
        if router.memory:
            router.remember(reversed(list(self._outbox.since(wall() - router.memory))))
        self._workers = {
            action.config.name: Worker(action, self._outbox, surroundings, wall=wall)
            for action in actions
            if action.config.enabled
        }
        self._run_id = surroundings.run_id
        self._bounded = [
            action.config.name
            for action in actions
            if action.config.enabled and action.durability == "bounded"
        ]
        self.posting = Posting(router, surroundings.zone, self.wake)

    def start(self) -> None:
        """Let the workers begin."""
        for worker in self._workers.values():
            worker.start()

    def wake(self, actions: set[str]) -> None:
        """There is something new for these actions. From any thread."""
        for name in actions & self._workers.keys():
            self._workers[name].wake()

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
                self._outbox.prune(now - self._keep)
            self._outbox.expire_others(self._workers, now)
        except sqlite3.Error as error:
            logger.debug(
                "deliveries are not tidied", reason=str(error)
            )  # whoever has to write says what is wrong

    def stop(self, seconds: float = DRAIN_SECONDS) -> None:
        """Let every action do what is due, and end; all of them have these seconds. What is left waits for the next start."""
        deadline = time.monotonic() + seconds
        for worker in self._workers.values():
            worker.finish(deadline)
        started = {name: worker for name, worker in self._workers.items() if worker.ident is not None}
        for name, worker in started.items():
            worker.join(max(0.0, deadline + _LEAVING_SECONDS - time.monotonic()))
            if worker.is_alive():
                logger.warning("action did not end in time", action=name, seconds=seconds)
        if not any(worker.is_alive() for worker in started.values()):
            self._outbox.close()
