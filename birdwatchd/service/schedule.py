"""What is done now and then: on a thread of its own, so that nothing else waits for it, and what is quick on another."""

from __future__ import annotations

import logging
import threading
import time as clock
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

import structlog

from birdwatchd.trust import elapsed

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

STEP_SECONDS = 1.0
"""A system clock that moves by more than this against monotonic time was set."""
DONE, AT_WORK = "done", "at work"
"""Outcomes of a job that is well."""
_DAY = timedelta(days=1)
_PROMPT = "prompt"
"""The thread of what is quick."""

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """One thing that is done now and then, and how it went the last time."""

    name: str
    how_often: str
    """In words."""
    next: datetime | None = None
    """Aware UTC; None when it will not be done any more."""
    last: datetime | None = None
    """When it was begun the last time in this run."""
    seconds: float = 0.0
    """How long that took."""
    outcome: str = ""
    """`done`, or what went wrong; `at work` while it goes on, empty before the first time."""


class Schedule:
    """Runs jobs while it is entered. A job that raises is named in the log, and runs again next time.

    Times of the day are those of a zone: every day has each of them once, also the days on which clocks change.
    """

    def __init__(
        self,
        zone: tzinfo = UTC,
        *,
        monotonic: Callable[[], float] = elapsed,
        wall: Callable[[], float] = clock.time,
    ) -> None:
        """`zone` is what a time of the day means."""
        from apscheduler.schedulers.background import BackgroundScheduler

        self.zone = zone
        """What a time of the day means; `move` changes it."""
        self._monotonic = monotonic
        self._wall = wall
        self._offset = wall() - monotonic()
        self._jobs: dict[str, Job] = {}
        self._over = threading.Event()
        self.clock_steps = 0
        """How often the system clock was set meanwhile."""
        # It would warn each time that work is due while it still goes on: how long it takes is in the status.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler: Any = BackgroundScheduler(
            timezone=UTC,
            executors={"default": one_thread(), _PROMPT: one_thread()},
            # A machine that slept does once what it missed.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def every(
        self,
        seconds: float,
        name: str,
        job: Callable[[], object],
        *,
        at_once: bool = False,
        promptly: bool = False,
    ) -> None:
        """Run `job` every so many seconds, the first time now or then; `promptly`: it is quick, and waits for nothing slow."""
        first = {"next_run_time": datetime.now(UTC)} if at_once else {}
        where = {"executor": _PROMPT} if promptly else {}
        self._add(Job(name, f"every {_length(seconds)}"), job, every_so_often(seconds), **first, **where)

    def daily(self, hour: int, minute: int, name: str, job: Callable[[], object]) -> None:
        """Run `job` every day at that time. Where clocks skip it, as much later as they skip."""
        self._add(
            Job(name, f"daily at {hour:02}:{minute:02}"),
            job,
            once_a_day(time(hour, minute), lambda: self.zone),
        )

    def move(self, zone: tzinfo) -> None:
        """From now on times of the day are those of `zone`."""
        self.zone = zone
        now = datetime.now(UTC)
        for job in self._scheduler.get_jobs():
            if not hasattr(job.trigger, "interval"):
                job.modify(next_run_time=job.trigger.get_next_fire_time(None, now))

    def jobs(self) -> list[Job]:
        """What there is to do, in the order of its next time. From any thread."""
        found = [
            replace(self._jobs[job.name], next=getattr(job, "next_run_time", None))
            for job in self._scheduler.get_jobs()
        ]
        return sorted(found, key=lambda job: (job.next is None, job.next, job.name))

    def turn(self) -> None:
        """See whether the system clock was set, and if so, keep the pace of what is done every so many seconds.

        To be called often; costs next to nothing.
        """
        step = self._wall() - self._monotonic() - self._offset
        if abs(step) <= STEP_SECONDS:
            return
        self._offset += step
        self.clock_steps += 1
        now = datetime.fromtimestamp(self._wall(), UTC)
        for job in self._scheduler.get_jobs():
            if not hasattr(job.trigger, "interval"):
                job.modify(next_run_time=job.trigger.get_next_fire_time(None, now))
            elif job.next_run_time is not None:
                job.modify(next_run_time=job.next_run_time + timedelta(seconds=step))

    def __enter__(self) -> Self:
        self._scheduler.start()
        return self

    def __exit__(self, *exception: object) -> None:
        # Whoever is at work may finish, but nobody waits for it, nor does the exit: it only ever deletes or tells, and what it
        # leaves half done is done at the next start. What is about to begin does not.
        self._over.set()
        self._scheduler.shutdown(wait=False)

    def _add(self, what: Job, job: Callable[[], object], *trigger: Any, **settings: Any) -> None:
        self._jobs[what.name] = what
        self._scheduler.add_job(
            lambda: self._do(what.name, job), *trigger, id=what.name, name=what.name, **settings
        )

    def _do(self, name: str, job: Callable[[], object]) -> None:
        if self._over.is_set():
            return
        began, since = datetime.now(UTC), self._monotonic()
        outcome = DONE
        self._jobs[name] = replace(self._jobs[name], last=began, seconds=0.0, outcome=AT_WORK)
        try:
            job()
        except Exception as error:
            # The one place of this thread. Where all that it works with has been closed meanwhile, that is no fault.
            if self._over.is_set():
                logger.info("scheduled work was cut short", job=name, reason=str(error))
            else:
                logger.exception("scheduled work failed", job=name)
            outcome = f"{type(error).__name__}: {error}"
        seconds = self._monotonic() - since
        self._jobs[name] = replace(self._jobs[name], last=began, seconds=seconds, outcome=outcome)


def one_thread() -> Any:
    """An executor of APScheduler. The threads of its own are waited for at the interpreter's exit, however long their work takes."""
    from apscheduler.executors.base import BaseExecutor, run_job

    class OneThread(BaseExecutor):  # type: ignore[misc] # it has no types
        def start(self, scheduler: Any, alias: str) -> None:
            super().start(scheduler, alias)
            self._due: SimpleQueue[tuple[Any, Any] | None] = SimpleQueue()
            threading.Thread(target=self._work, name="schedule", daemon=True).start()

        def shutdown(self, wait: bool = True) -> None:
            self._due.put(None)

        def _do_submit_job(self, job: Any, run_times: Any) -> None:
            self._due.put((job, run_times))

        def _work(self) -> None:
            while (due := self._due.get()) is not None:
                job, run_times = due
                told = run_job(job, "default", run_times, self._logger.name)
                self._run_job_success(job.id, told)

    return OneThread()


def every_so_often(seconds: float) -> Any:
    """A trigger of APScheduler. Its own counts every time that was missed: on a clock that was set from 1970, for minutes."""
    from apscheduler.triggers.base import BaseTrigger

    class EverySoOften(BaseTrigger):  # type: ignore[misc] # it has no types
        interval = timedelta(seconds=seconds)

        def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
            following = (previous or now) + self.interval
            return following if following > now else now + self.interval

    return EverySoOften()


def once_a_day(at: time, zone: Callable[[], tzinfo]) -> Any:
    """A trigger of APScheduler. Its own by the clock leaves out a day whose clocks skip the time, and runs twice where they repeat it."""
    from apscheduler.triggers.base import BaseTrigger

    class OnceADay(BaseTrigger):  # type: ignore[misc] # it has no types
        def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
            after = now if previous is None else max(previous, now)
            day = after.astimezone(zone()).date() - _DAY
            while (moment := datetime.combine(day, at, zone()).astimezone(UTC)) < after or moment == previous:
                day += _DAY
            return moment

    return OnceADay()


def _length(seconds: float) -> str:
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return unit if count == 1 else f"{count} {unit}s"
    return f"{seconds:g} seconds"
