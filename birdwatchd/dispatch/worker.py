"""A worker: carries out the deliveries of one action, in a thread of its own, so that it holds up nobody else."""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from birdwatchd.actions import Postpone
from birdwatchd.config.secrets import Secrets
from birdwatchd.dispatch.context import open_context
from birdwatchd.dispatch.hands import Hands, Overdue
from birdwatchd.dispatch.line import Line
from birdwatchd.dispatch.news import News
from birdwatchd.dispatch.report import Report
from birdwatchd.dispatch.router import max_age_seconds
from birdwatchd.dispatch.verdict import TOO_OLD, judge, pause_seconds, too_old, words
from birdwatchd.domain import Health
from birdwatchd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from birdwatchd.actions import Action
    from birdwatchd.dispatch.context import Surroundings, Task
    from birdwatchd.domain import DailySummary
    from birdwatchd.store.deliveries import Entry, Outcome
    from birdwatchd.store.outbox import Outbox

TEND_SECONDS = 30.0
"""How often it looks after what waits without being told: what is too old, too many, or was revived by hand."""
AFTER_SECONDS = 0.5
"""How often it looks whether the one before it has ended."""
TROUBLE_SECONDS = 5.0
"""How long it waits when the database cannot be read or written."""
MOST_CHARACTERS = 2000
"""Of a reason."""

logger = structlog.get_logger()


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one action does."""

    name: str
    kind: str
    settled: Mapping[str, int]
    """What became of deliveries in this run."""
    trouble: str
    """Why it does not get on; empty when it does."""


class Worker(threading.Thread):
    """Takes what is due, has it done within the action's deadline, and writes down what became of it.

    An action that fails is tried again later, each time after twice as long. One past its deadline is left behind and
    nothing else is asked of it until it returns. What was done is done again only when the process died before that was
    written down.
    """

    def __init__(
        self,
        action: Action,
        outbox: Outbox,
        surroundings: Surroundings,
        *,
        after: Worker | None = None,
        wall: Callable[[], datetime] = _now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """It begins when the worker `after` has ended, which had the same name."""
        self.action = action
        self.name_of_action: str = action.config.name
        super().__init__(name=f"worker {self.name_of_action}", daemon=True)
        self._outbox = outbox
        self._wall = wall
        self._monotonic = monotonic
        self._timeout: float = action.config.timeout_seconds
        self._max_age = timedelta(seconds=max_age_seconds(action))
        self._secrets = Secrets(action.config)
        self._report = Report(self.name_of_action)
        self._wake = threading.Event()
        self._hands = Hands(f"action {self.name_of_action}", self._wake.set)
        self._is_entered = False
        self._line = Line(action, outbox, surroundings)
        self._unwritten: list[Outcome] = []  # done, and not noted yet: the disk is in trouble
        self._left_behind: list[Task] = []
        self._failures = 0
        self._rest_until = float("-inf")
        self._tended_at = float("-inf")
        self._news = News(monotonic)
        self._stop_at: float | None = None
        self._after = after

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._line.stir()
        self._wake.set()

    def inform(self, news: Health | DailySummary) -> None:
        """Tell the action, as soon as it is free; what was told before and not heard yet is forgotten."""
        self._news.lay(news)
        self._wake.set()

    def finish(self, deadline: float) -> None:
        """Do what is due, and end; at the monotonic time `deadline` at the latest."""
        self._stop_at = deadline
        self._wake.set()

    def standing(self) -> Standing:
        """How it does. From any thread."""
        overdue = self._hands.is_busy
        trouble = (
            f"it does not return (timeout_seconds: {self._timeout:g})" if overdue else self._report.error
        )
        settled = {str(status): count for status, count in self._report.counts.copy().items()}
        return Standing(self.name_of_action, self.action.config.kind, settled, trouble)

    def move(self, surroundings: Surroundings) -> None:
        """The station has other surroundings now. From any thread."""
        self._line.surroundings = surroundings

    def _own_trouble(self) -> str:
        try:
            return str(self.action.trouble)
        except Exception as error:  # noqa: BLE001 - whatever another's code does, the others are told of
            return words(error)

    def run(self) -> None:
        while self._is_one_too_many():
            time.sleep(AFTER_SECONDS)
            if self._stop_at is not None and self._monotonic() >= self._stop_at:
                self._leave()
                return
        while True:
            self._wake.clear()
            deadline = self._stop_at  # looked up first: what came before the word to finish is still done
            pause = self._step()
            if deadline is not None and (pause > 0 or self._monotonic() >= deadline):
                break
            if pause > 0:
                self._wake.wait(pause)
        self._leave()

    def _is_one_too_many(self) -> bool:
        """Whether another is still at work for the action of this name: no delivery is made by two."""
        if self._after is not None and not self._after.is_alive():
            self._after = None
        return self._after is not None

    def _step(self) -> float:
        """Do the next thing; how many seconds there is nothing to do after that, unless it is woken."""
        try:
            return self._work()
        except (sqlite3.Error, StoreError) as error:
            self._report.trouble(error)
        except Exception:
            # The one place of this thread: a mistake of ours must not end the deliveries of this action.
            logger.exception("worker failed", action=self.name_of_action)
        return TROUBLE_SECONDS

    def _work(self) -> float:
        self._write([])
        if self._monotonic() - self._tended_at >= TEND_SECONDS:
            self._tend()
        if self._hands.is_busy:
            return TEND_SECONDS
        self._hear_late()
        if self._is_entered:
            self._tell()
        if self._resting > 0:
            return min(self._resting, TEND_SECONDS)
        if not self._is_entered:
            self._enter()
            return 0.0
        turn = self._line.take(self._wall(), TEND_SECONDS)
        if turn.hopeless:
            entries = {entry.number: entry for entry in turn.entries}
            self._settle(turn.entries, [self._recall(entries[one.number], one) for one in turn.hopeless])
        elif turn.tasks:
            self._attempt(turn.tasks)
        return turn.idle_seconds

    @property
    def _resting(self) -> float:
        return self._rest_until - self._monotonic()

    def _tend(self) -> None:
        """Give up what is too old, or too much."""
        self._tended_at = self._monotonic()
        self._line.stir()
        now, kind = self._wall(), self.action.durability
        expired = self._outbox.expire(self.name_of_action, TOO_OLD[kind], too_old(self._max_age), now)
        most: int = self.action.config.max_waiting
        surplus = self._outbox.trim(self.name_of_action, most, f"more than {most} were waiting", now)
        self._report.gave_up(expired, TOO_OLD[kind], too_old(self._max_age))
        self._report.gave_up(surplus, "expired", f"more than {most} were waiting")

    def _enter(self) -> None:
        try:
            self._hands.call(self.action.__enter__, self._timeout)
        except BaseException as error:  # noqa: BLE001 - whatever it raises, it is not ready
            self._failures += 1
            self._rest(pause_seconds(self._failures))
            self._report.not_ready(error, self._resting)
        else:
            self._failures = 0
            self._is_entered = True

    def _tell(self) -> None:
        while not self._hands.is_busy and (news := self._news.take()) is not None:
            tell = self.action.on_health if isinstance(news, Health) else self.action.on_daily
            try:
                self._hands.call(partial(tell, news), self._timeout)  # type: ignore[arg-type] # each gets its own kind
            except Overdue:
                # It goes on with it, and would else be told of it for as long as it is slow.
                self._news.told(news)
                self._report.left_behind(self._timeout)
            except BaseException as error:  # noqa: BLE001 - whatever it raises, it did not take them
                say = logger.warning if self._news.refuse(news) else logger.debug
                say("action did not take the news", action=self.name_of_action, error=words(error))
            else:
                self._news.told(news)

    def _recall(self, entry: Entry, outcome: Outcome) -> Outcome:
        """A run that was killed may have done what it could not write down any more: then it is done."""
        surroundings = self._line.surroundings
        if outcome.status != "lost" or entry.run_id == surroundings.run_id:
            return outcome
        context = open_context(entry.delivery, surroundings, entry.notes)
        try:
            if self._hands.call(
                lambda: self.action.was_done(entry.delivery.detection, context), self._timeout
            ):
                return replace(outcome, status="done", error="", notes=context.notes)
        except BaseException as error:  # noqa: BLE001 - whatever it raises, nobody can say that it was done
            logger.warning("nobody knows whether it was done", action=self.name_of_action, error=words(error))
        return outcome

    def _attempt(self, tasks: Sequence[Task]) -> None:
        try:
            errors = self._hands.call(lambda: self.action.run_batch(tasks), self._timeout)
            if len(errors) != len(tasks):
                raise TypeError(f"run_batch said {len(errors)} things of {len(tasks)} deliveries")  # noqa: TRY301 - as any other of its errors
        except Overdue as error:
            self._left_behind = list(tasks)
            errors = [error] * len(tasks)
            self._report.left_behind(self._timeout)
        except BaseException as error:  # noqa: BLE001 - SystemExit too: it is the action's, not ours
            errors = [error] * len(tasks)  # type: ignore[list-item] # run_batch says Exception, and may do worse
        self._conclude(tasks, errors)

    def _conclude(self, tasks: Sequence[Task], errors: Sequence[BaseException | None]) -> None:
        """Settle a batch, and rest where the other side seems to be away."""
        now = self._wall()
        outcomes = [judge(task, error, now) for task, error in zip(tasks, errors, strict=True)]
        failed = [number for number, one in enumerate(outcomes) if one.status == "waiting"]
        progress = len(failed) < len(outcomes)
        self._failures = 0 if progress or not failed else self._failures + 1
        if failed and self.action.ordered:
            # Those behind the first that failed waited for it, no more: what the disk says of them stays.
            first = failed[0]
            seconds = (outcomes[first].next or now) - now
            self._rest(seconds.total_seconds())
            outcomes = [
                one for number, one in enumerate(outcomes) if number <= first or one.status != "waiting"
            ]
        elif failed and not progress and self.action.durability == "durable":
            error = errors[failed[0]]
            said = error.seconds if isinstance(error, Postpone) else None
            self._rest(pause_seconds(self._failures) if said is None else said)
        self._settle([task.entry for task in tasks], outcomes)

    def _rest(self, seconds: float) -> None:
        self._rest_until = self._monotonic() + seconds

    def _hear_late(self) -> None:
        """An overdue batch has returned after all: what was done is done."""
        outcome = self._hands.late()
        if outcome is None:
            return
        tasks, self._left_behind = self._left_behind, []
        error = outcome.exception()
        self._report.returned(error)
        said = outcome.result() if error is None else None
        self._is_entered = self._is_entered or error is None
        if tasks and isinstance(said, list) and len(said) == len(tasks):
            done = [
                judge(task, None, self._wall()) for task, one in zip(tasks, said, strict=True) if one is None
            ]
            self._settle([task.entry for task in tasks], [replace(one, error="late") for one in done])

    def _settle(self, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> None:
        # What an action, or the other side, said of it may hold anything.
        fit = self._secrets.fit
        outcomes = [
            replace(one, error=fit(one.error)[:MOST_CHARACTERS], notes=self._secrets.fit_notes(one.notes))
            for one in outcomes
        ]
        self._report.settled(entries, outcomes)
        self._write(outcomes)

    def _write(self, outcomes: Sequence[Outcome]) -> None:
        self._unwritten += outcomes
        if self._unwritten:
            self._outbox.settle(self._unwritten, self._wall())
            self._unwritten = []
            self._report.no_trouble()

    def _leave(self) -> None:
        left = (self._stop_at or 0.0) - self._monotonic()
        if self._is_entered and not self._hands.is_busy:
            try:
                self._hands.call(
                    lambda: self.action.__exit__(None, None, None), max(0.1, min(self._timeout, left))
                )
            except BaseException as error:  # noqa: BLE001 - it is over in any case
                logger.warning("action did not end well", action=self.name_of_action, error=words(error))
        self._hands.close()
