from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from birdwatchd.store.cursor import LONGEST, Cursor
from birdwatchd.store.database import Database
from birdwatchd.store.recorder import Recorder
from tests.rows import BLACKBIRD, COOT, GREAT_TIT, detection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from birdwatchd.domain import Detection

TIT = detection(0, GREAT_TIT, state="started")
# It began before the tit, and is known after it: a long call.
BLACK = detection(-5, BLACKBIRD, state="started")
COOTS = detection(9, COOT, state="started")


def over(one: Detection) -> Detection:
    return replace(one, state="ended")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "db") as opened:
        yield opened


@pytest.fixture
def recorder(database: Database) -> Iterator[Recorder]:
    recorder = Recorder(database, run_id="run-1")
    yield recorder
    recorder.close()


def read(cursor: Cursor, database: Database, most: int = 100) -> tuple[list[tuple[str, str]], Cursor]:
    found = cursor.later(database, most)
    assert found is not None
    for one in found:
        # As somebody would who was cut off after each of them.
        again = Cursor.parse(str(cursor.past(one)))
        assert again == cursor.past(one)
        cursor = again
    return [(one.label.common_name, one.state) for one in found], cursor


def test_each_start_and_each_end_is_read_once(database: Database, recorder: Recorder) -> None:
    cursor = Cursor.at_end(database)
    assert str(cursor) == ""
    told: list[tuple[str, str]] = []
    for one in (TIT, BLACK, over(TIT), COOTS, over(COOTS), over(BLACK)):
        recorder.record(one)
        new, cursor = read(cursor, database)
        told += new
        assert read(cursor, database) == ([], cursor)
    assert told == [
        ("Great Tit", "started"),
        ("Common Blackbird", "started"),
        ("Great Tit", "ended"),
        (COOT.common_name, "started"),
        (COOT.common_name, "ended"),
        ("Common Blackbird", "ended"),
    ]


def test_who_was_away_reads_what_was_missed_as_it_is_now(database: Database, recorder: Recorder) -> None:
    recorder.record(TIT)
    cursor = Cursor.at_end(database)
    recorder.record(BLACK, over(TIT), over(BLACK), COOTS)
    told, cursor = read(cursor, database)
    assert told == [
        ("Great Tit", "ended"),
        ("Common Blackbird", "ended"),
        (COOT.common_name, "started"),
    ]
    assert cursor == Cursor.at_end(database)


def test_a_daemon_that_died_leaves_nothing_open(database: Database, recorder: Recorder) -> None:
    recorder.record(TIT)
    cursor = Cursor.at_end(database)
    Recorder(database, run_id="run-2").close()
    assert read(cursor, database)[0] == [("Great Tit", "ended")]


def test_much_is_read_in_parts(database: Database, recorder: Recorder) -> None:
    cursor = Cursor.at_end(database)
    recorder.record(*(detection(10 * number) for number in range(25)))
    parts = []
    while True:
        told, cursor = read(cursor, database, most=10)
        if not told:
            break
        parts.append(len(told))
    assert parts == [10, 10, 5]


def test_a_place_in_another_database_is_none(database: Database, recorder: Recorder) -> None:
    recorder.record(TIT)
    assert Cursor("0123abcd").later(database, 10) is None


@pytest.mark.parametrize("text", ["x", "abc.", "abc..def", "abc def", "ABC", "a" * (LONGEST + 1), "a\n"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    assert Cursor.parse(text) is None


def test_no_table_is_walked_through(database: Database, recorder: Recorder) -> None:
    recorder.record(TIT)
    seen: list[str] = []
    database._connection.set_trace_callback(seen.append)
    Cursor.at_end(database)
    Cursor(TIT.id, (TIT.id, BLACK.id)).later(database, 10)
    database._connection.set_trace_callback(None)
    assert len(seen) == 5
    plans = [row["detail"] for sql in seen for row in database.rows(f"EXPLAIN QUERY PLAN {sql}")]
    # One row of the table's end is all that is read of it.
    assert [plan for plan in plans if plan.startswith("SCAN")] == ["SCAN detections"], plans
