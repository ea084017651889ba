"""What the daemon does by its schedule, and in which order."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.routine import tell_regularly
from birdwatchd.store.database import Database
from birdwatchd.store.summary import Summaries
from tests.rows import detection, entry, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Jobs:
    """A schedule that leaves it to the test when something is done."""

    def __init__(self) -> None:
        self.work: dict[str, Callable[[], object]] = {}

    def every(self, _seconds: float, name: str, job: Callable[[], object], **_when: bool) -> None:
        self.work[name] = job

    def daily(self, _hour: int, _minute: int, name: str, job: Callable[[], object]) -> None:
        self.work[name] = job


def test_a_day_that_a_crash_kept_from_being_told_is_told_by_the_next_run(tmp_path: Path) -> None:
    path = write(tmp_path / "db", detection(0), entry(3600))
    told: list[Any] = []

    def crash(_: object) -> None:
        raise ConnectionAbortedError

    clock: Any = SimpleNamespace(now=lambda: datetime(2026, 5, 10, 0, 1, tzinfo=UTC), is_set=True)
    for inform in (crash, told.append, told.append):
        with Database.open(path) as database:
            jobs, summaries = Jobs(), Summaries(database, "wood", lambda: UTC)
            running: Any = SimpleNamespace(schedule=jobs, desk=SimpleNamespace(inform=inform, tidy=None))
            tell_regularly(running, summaries, clock)
            if inform is crash:
                with pytest.raises(ConnectionAbortedError):
                    jobs.work["daily summary"]()
            else:
                jobs.work["daily summary"]()
            summaries.close()
    assert [one.day for one in told] == [date(2026, 5, 9)]
