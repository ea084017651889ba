from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from birdwatchd.store import runs
from birdwatchd.store.database import Database
from tests.rows import DAWN

if TYPE_CHECKING:
    from pathlib import Path


def run(name: str, minutes: float) -> runs.Run:
    started = DAWN + timedelta(minutes=minutes)
    return runs.Run(name, started, started, None, "0.1", "tiny", "pi", "abc")


def test_runs_are_found_by_the_time_around_them(tmp_path: Path) -> None:
    with Database.open(tmp_path / "db") as database:
        with database.transaction() as connection:
            runs.begin(connection, run("one", 0))
            runs.begin(connection, run("two", 60))
            runs.seen(connection, "one", DAWN + timedelta(minutes=30))
            runs.end(connection, "two", DAWN + timedelta(minutes=90))
        first, second = runs.before(database, DAWN), runs.after(database, DAWN)
        assert first is not None
        assert second is not None
        assert (first.run_id, first.seen, first.ended) == ("one", DAWN + timedelta(minutes=30), None)
        assert (second.run_id, second.ended) == ("two", DAWN + timedelta(minutes=90))
        assert runs.before(database, DAWN - timedelta(seconds=1)) is None
        assert runs.after(database, DAWN + timedelta(minutes=60)) is None
