from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from birdwatchd.store import traces
from birdwatchd.store.database import Database
from tests.rows import BLACKBIRD, DAWN, candidate, write

if TYPE_CHECKING:
    from pathlib import Path


def test_candidates_come_back_by_time_best_first(tmp_path: Path) -> None:
    rows = [candidate(1.5), candidate(0, score=0.2), candidate(0, BLACKBIRD, score=0.6), candidate(9)]
    write(tmp_path / "db", *rows)
    with Database.open(tmp_path / "db", read_only=True) as database:
        found = traces.between(database, DAWN, DAWN + timedelta(seconds=1.5))
        assert found == [rows[2], rows[1], rows[0]]
        assert traces.oldest(database) == DAWN


def test_where_there_is_none_there_is_no_oldest(tmp_path: Path) -> None:
    write(tmp_path / "db")
    with Database.open(tmp_path / "db", read_only=True) as database:
        assert traces.oldest(database) is None
        assert traces.between(database, DAWN, DAWN) == []


def test_neither_asking_nor_pruning_walks_through_all_of_them(tmp_path: Path) -> None:
    write(tmp_path / "db", candidate())
    statements: list[str] = []
    with Database.open(tmp_path / "db") as database:
        database._connection.set_trace_callback(statements.append)
        traces.between(database, DAWN, DAWN)
        traces.oldest(database)
        with database.transaction() as connection:
            traces.prune(connection, DAWN, at_most=10)
        database._connection.set_trace_callback(None)
        asked = [sql for sql in statements if "traces" in sql]
        assert len(asked) == 3
        plans = [[row["detail"] for row in database.rows(f"EXPLAIN QUERY PLAN {sql}")] for sql in asked]
    assert "SEARCH traces USING INDEX" in plans[0][0]
    assert "SCAN traces USING COVERING INDEX" in plans[1][0]  # one row of it
    assert plans[2] == [
        "SEARCH traces USING INTEGER PRIMARY KEY (rowid=?)",
        "LIST SUBQUERY 1",
        "SCAN traces",
    ]  # ten
