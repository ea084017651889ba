"""A connection is closed while another thread is at work on it. In a child: what goes wrong there ends the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from birdwatchd.domain import DailySummary
from birdwatchd.errors import StoreError
from birdwatchd.service.schedule import Schedule
from birdwatchd.store.cells import to_text
from birdwatchd.store.database import Database
from birdwatchd.store.ledger import roll_up
from birdwatchd.store.summary import Summaries

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 10
NOW = datetime(2026, 5, 9, 4, tzinfo=UTC)
TOLD = DailySummary("wood", NOW.date(), ())


def open_filled(path: Path) -> Database:
    database = Database.open(path)
    hours = [to_text(NOW - timedelta(hours=number)) for number in range(24 * 100)]
    with database.transaction() as connection:
        connection.executemany(
            "INSERT INTO ledger VALUES (?, 'garden', ?, '', 9.0)",
            [(hour, kind) for hour in hours for kind in ("expected", "captured")],
        )
    return database


def close_at_work(folder: Path, work: Callable[[Database, Summaries], object]) -> None:
    """The daemon's end, as it stands there: the schedule is left, then what its job works with is closed."""
    began = threading.Event()

    def job() -> None:
        while True:
            began.set()
            work(database, summaries)

    with capture_logs() as logs:
        with ExitStack() as stack:
            database = stack.enter_context(open_filled(folder / "db"))
            summaries = stack.enter_context(closing(Summaries(database, "wood", lambda: UTC)))
            schedule = stack.enter_context(Schedule())
            schedule.every(3600, "job", job, at_once=True)
            assert began.wait(60)
        until = time.monotonic() + 60
        while time.monotonic() < until and not logs:
            time.sleep(0.01)
    assert [line["event"] for line in logs] == ["scheduled work was cut short"]
    assert "closed" in logs[0]["reason"]


def main(kind: str, folder: Path) -> None:
    works: dict[str, Callable[[Database, Summaries], object]] = {
        "summary": lambda _, summaries: summaries.note(TOLD),
        "roll-up": lambda database, _: roll_up(database, NOW, UTC),
    }
    for number in range(ROUNDS):
        place = folder / str(number)
        place.mkdir()
        close_at_work(place, works[kind])


@pytest.mark.parametrize("kind", ["summary", "roll-up"])
def test_what_is_closed_while_a_job_is_at_work_on_it_cuts_the_job_short(tmp_path: Path, kind: str) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.unit.store.test_closing", kind, str(tmp_path)],
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stderr


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n WHERE x < 0"


@pytest.mark.parametrize("is_second", [False, True])
def test_closing_does_not_wait_for_a_query(tmp_path: Path, *, is_second: bool) -> None:
    said: list[str] = []

    def read() -> None:
        try:
            read_on.rows(ENDLESS)
        except StoreError as error:
            said.append(str(error))

    with Database.open(tmp_path / "db") as database:
        read_on = database.second() if is_second else database
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        read_on.close()
        thread.join(60)
        assert not thread.is_alive()
        assert len(said) == 1
        assert "closed" in said[0]
        with pytest.raises(StoreError, match="closed"):
            read_on.rows("SELECT 1")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
