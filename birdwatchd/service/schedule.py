"""What is done now and then: one thread of its own, so that nothing else waits for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

logger = structlog.get_logger()


class Schedule:
    """Runs jobs while it is entered. A job that raises is named in the log, and runs again next time."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        """`zone` is what a time of the day means."""
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler

        self._scheduler: Any = BackgroundScheduler(
            timezone=zone,
            executors={"default": ThreadPoolExecutor(1)},
            # A machine that slept does once what it missed.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def every(self, seconds: float, name: str, job: Callable[[], object], *, at_once: bool = False) -> None:
        """Run `job` every so many seconds, the first time now or then."""
        first = {"next_run_time": datetime.now(UTC)} if at_once else {}
        self._scheduler.add_job(_guarded(name, job), "interval", seconds=seconds, name=name, **first)

    def daily(self, hour: int, minute: int, name: str, job: Callable[[], object]) -> None:
        """Run `job` every day at that time."""
        self._scheduler.add_job(_guarded(name, job), "cron", hour=hour, minute=minute, name=name)

    def __enter__(self) -> Self:
        self._scheduler.start()
        return self

    def __exit__(self, *exception: object) -> None:
        # Whoever is at work may finish, but nobody waits for it: it only ever deletes or tells.
        self._scheduler.shutdown(wait=False)


def _guarded(name: str, job: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        try:
            job()
        except Exception:
            # The one place of this thread.
            logger.exception("scheduled work failed", job=name)

    return run
