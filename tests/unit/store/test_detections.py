from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from birdwatchd.store.database import Database
from birdwatchd.store.detections import Choice, count, find, settled, species
from tests.rows import BLACKBIRD, COOT, DAWN, GREAT_TIT, detection, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from birdwatchd.domain import Detection

ROWS = [
    detection(0, GREAT_TIT, score=0.95),
    detection(10, BLACKBIRD, score=0.75, source="wood", site="W"),
    detection(20, COOT, score=0.80, source="lake", site="L"),
    detection(30, GREAT_TIT, score=0.71, source="wood", site="W"),
    detection(40, BLACKBIRD, score=0.99),
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    # Not in the order of time: two sources, or a recording, do not keep it.
    write(tmp_path / "db", *reversed(ROWS))
    with Database.open(tmp_path / "db", read_only=True) as opened:
        yield opened


def at(seconds: float) -> Choice:
    return Choice(since=DAWN + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(), [0, 1, 2, 3, 4]),
        (Choice(species=("great tit",)), [0, 3]),
        (Choice(species=("TURDUS merula",)), [1, 4]),
        (Choice(species=("bläSSHUHN",)), [2]),
        (Choice(species=("*t*", "Fulica *")), [0, 1, 2, 3, 4]),
        (Choice(species=("tit",)), []),
        (Choice(since=DAWN + timedelta(seconds=10)), [1, 2, 3, 4]),
        (Choice(until=DAWN + timedelta(seconds=10)), [0]),
        (Choice(since=DAWN + timedelta(seconds=10), until=DAWN + timedelta(seconds=30)), [1, 2]),
        (Choice(min_score=0.8), [0, 2, 4]),
        (Choice(sources=("wood", "lake")), [1, 2, 3]),
        (Choice(sites=("W",)), [1, 3]),
        (Choice(species=("great tit",), sources=("wood",), min_score=0.5), [3]),
    ],
)
def test_a_choice_finds_what_it_says_oldest_first(
    database: Database, choice: Choice, expected: list[int]
) -> None:
    assert list(find(database, choice)) == [ROWS[index] for index in expected]


def test_the_newest_are_the_last_ones(database: Database) -> None:
    assert list(find(database, Choice(), newest=2)) == ROWS[3:]
    assert list(find(database, Choice(sources=("wood",)), newest=1)) == [ROWS[3]]
    assert list(find(database, Choice(), newest=50)) == ROWS


def test_a_lower_case_letter_with_a_sharp_s_is_found(database: Database) -> None:
    assert [one.label for one in find(database, Choice(species=("BLÄSSHUHN",)))] == [COOT]


def test_more_than_a_page_comes_whole_and_in_order(tmp_path: Path) -> None:
    from birdwatchd.store import detections

    rows = [detection(second) for second in range(2500)]
    write(tmp_path / "db")
    with Database.open(tmp_path / "db") as database:
        with database.transaction() as connection:
            detections.write(connection, map(detections.to_row, rows))
        assert list(find(database, Choice())) == rows
        assert list(find(database, Choice(), newest=1200)) == rows[1300:]


def test_what_is_written_meanwhile_does_not_disturb_a_reader(tmp_path: Path) -> None:
    from birdwatchd.store import detections

    rows = [detection(second) for second in range(1500)]
    path = write(tmp_path / "db")
    with Database.open(path) as writer:
        with writer.transaction() as connection:
            detections.write(connection, map(detections.to_row, rows))
        with Database.open(path, read_only=True) as reader:
            found = find(reader, Choice())
            first = next(found)
            with writer.transaction() as connection:
                connection.execute("DELETE FROM detections WHERE id = ?", (rows[1200].id,))
                detections.write(connection, [detections.to_row(detection(-5))])
            assert [first, *found] == rows[:1200] + rows[1201:]


def test_species_are_counted_the_most_frequent_first(database: Database) -> None:
    tallies = count(database, Choice())
    assert [(tally.common_name, tally.detections) for tally in tallies] == [
        ("Great Tit", 2),
        ("Common Blackbird", 2),
        ("Bläßhuhn", 1),
    ]
    tit = tallies[0]
    assert (tit.best_score, tit.first, tit.last) == (0.95, ROWS[0].start, ROWS[3].end)
    assert tit.seconds == 9.0
    assert count(database, Choice(species=("nobody",))) == []


def test_every_species_is_known_by_its_newest_name(tmp_path: Path) -> None:
    kohlmeise = replace(GREAT_TIT, common_name="Kohlmeise")
    write(tmp_path / "db", detection(10, kohlmeise), detection(0, GREAT_TIT), detection(5, BLACKBIRD))
    with Database.open(tmp_path / "db", read_only=True) as database:
        assert species(database) == [kohlmeise, BLACKBIRD]
        assert len(list(find(database, Choice(species=("kohlmeise",))))) == 2


def test_an_empty_database_has_no_species(tmp_path: Path) -> None:
    write(tmp_path / "db")
    with Database.open(tmp_path / "db", read_only=True) as database:
        assert species(database) == []
        assert count(database, Choice()) == []
        assert list(find(database, Choice(species=("x",)), newest=3)) == []
        assert settled(database) == 0


def test_new_ones_are_those_after_a_settled_place(tmp_path: Path) -> None:
    from birdwatchd.store.recorder import Recorder

    with Database.open(tmp_path / "db") as database:
        recorder = Recorder(database, run_id="run-1")

        def later(place: int) -> list[Detection]:
            return list(find(database, Choice(after_place=place)))

        recorder.record(detection(0))
        place = settled(database)
        assert later(place) == []
        recorder.record(detection(10, state="started"))
        recorder.record(detection(20, BLACKBIRD))
        assert settled(database) == place
        assert len(later(place)) == 2
        recorder.record(detection(10))
        assert later(settled(database)) == []


@pytest.mark.parametrize(
    ("choice", "newest", "index"),
    [
        (Choice(), 100, "detections_by_start"),
        (at(0), None, "detections_by_start"),
        (Choice(species=("great tit",)), None, "detections_by_species"),
        (Choice(species=("great tit",)), 10, "detections_by_species"),
        (Choice(sources=("wood",)), 10, "detections_by_source"),
        (Choice(since=DAWN, until=DAWN + timedelta(days=1), sources=("wood",)), None, "detections_by_source"),
    ],
)
def test_no_search_walks_through_a_million_rows(
    database: Database, choice: Choice, newest: int | None, index: str
) -> None:
    statements: list[str] = []
    database._connection.set_trace_callback(statements.append)
    list(find(database, choice, newest=newest))
    database._connection.set_trace_callback(None)
    plans = [[row["detail"] for row in database.rows(f"EXPLAIN QUERY PLAN {sql}")] for sql in statements]
    steps = [step for plan in plans for step in plan]
    assert any(index in step for step in steps), steps
    assert not [step for step in steps if step.startswith("SCAN detections") and "USING" not in step], steps
    # Only a search by time alone may have to sort nothing at all: its index is the order.
    if not choice.species:
        assert not [step for step in steps if "TEMP B-TREE" in step], steps
