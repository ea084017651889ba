"""Pages of detections: together they are all that the choice finds, the newest first, each once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from birdwatchd.store import newest
from birdwatchd.store.database import Database
from birdwatchd.store.detections import Choice, find
from birdwatchd.store.newest import Place, beside, page
from birdwatchd.store.recorder import Recorder
from tests.rows import BLACKBIRD, COOT, DAWN, GREAT_TIT, detection, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from birdwatchd.domain import Detection

ROWS = [
    detection(
        7 * (number // 3),
        (GREAT_TIT, BLACKBIRD, COOT)[number % 3],
        source=("garden", "wood", "lake")[number // 3 % 3],
        site="AB"[number % 2],
        score=0.5 + number % 10 / 20,
    )
    for number in range(60)
]
CHOICES = [
    Choice(),
    Choice(species=("great tit",)),
    Choice(species=("*t*", "Fulica *")),
    Choice(species=("nobody",)),
    Choice(sources=("wood", "lake")),
    Choice(species=("turdus *", "fulica *"), sources=("lake",), min_score=0.6),
    Choice(sites=("B",), min_score=0.9),
    Choice(since=DAWN + timedelta(seconds=14), until=DAWN + timedelta(seconds=70)),
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    write(tmp_path / "db", *ROWS)
    with Database.open(tmp_path / "db", read_only=True) as opened:
        yield opened


def all_pages(database: Database, choice: Choice, most: int) -> list[list[Detection]]:
    pages, after = [], None
    while True:
        found = page(database, choice, most=most, after=after)
        pages.append(list(found.detections))
        if found.next is None:
            return pages
        after = Place.parse(found.next.cursor())


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("most", [1, 7, 100])
def test_pages_together_are_what_the_choice_finds(database: Database, choice: Choice, most: int) -> None:
    wanted = sorted(find(database, choice), key=lambda one: (one.start, one.id), reverse=True)
    pages = all_pages(database, choice, most)
    assert [one for page in pages for one in page] == wanted
    assert all(len(page) == most for page in pages[:-1])


@pytest.mark.parametrize("choice", CHOICES)
def test_of_many_species_and_sources_the_same_is_found(
    database: Database, choice: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = all_pages(database, choice, 5)
    monkeypatch.setattr(newest, "MOST_LANES", 0)
    assert all_pages(database, choice, 5) == wanted


def test_what_hardly_any_fits_comes_in_short_pages(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newest, "MOST_LOOKED_AT", 8)
    choice = Choice(min_score=0.95)
    pages = all_pages(database, choice, 10)
    assert len(pages) >= 60 // 8
    assert [one for page in pages for one in page] == sorted(
        find(database, choice), key=lambda one: (one.start, one.id), reverse=True
    )


def test_a_page_does_not_move_when_new_ones_come(tmp_path: Path) -> None:
    write(tmp_path / "db", *ROWS[:30])
    with Database.open(tmp_path / "db", read_only=True) as opened:
        first = page(opened, Choice(), most=10)
        second = page(opened, Choice(), most=10, after=first.next)
    with Database.open(tmp_path / "db") as opened:
        clerk = Recorder(opened, run_id="run-2", wall=lambda: DAWN)
        for row in ROWS[30:]:
            clerk.record(replace(row, run_id="run-2"))
        assert clerk.close()
    with Database.open(tmp_path / "db", read_only=True) as opened:
        assert page(opened, Choice(), most=10) != first
        assert page(opened, Choice(), most=10, after=first.next) == second


@pytest.mark.parametrize("cursor", ["", "x", "1", "é", "MjAyNi0wNS0wOQ==", "A" * 400, "MjAy\n"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ValueError, match="no cursor that came with a page"):
        Place.parse(cursor)


@pytest.mark.parametrize(
    ("choice", "index"),
    [
        (Choice(), "detections_by_start"),
        (Choice(species=("great tit",)), "detections_by_species"),
        (Choice(sources=("wood",)), "detections_by_source"),
    ],
)
def test_a_page_reads_its_rows_in_the_order_of_an_index(
    database: Database, choice: Choice, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    each = Database.each

    def listen(self: Database, sql: str, parameters: tuple[object, ...] = ()) -> Iterator[object]:
        if sql.startswith("SELECT start_utc"):
            asked.extend(row["detail"] for row in each(self, f"EXPLAIN QUERY PLAN {sql}", parameters))
        return each(self, sql, parameters)

    monkeypatch.setattr(Database, "each", listen)
    page(database, choice, most=5, after=Place("2026-05-09T05:42:00.250000Z", "x"))
    assert f"SEARCH detections USING INDEX {index}" in asked[0]
    assert not any("USE TEMP B-TREE FOR ORDER BY" in one for one in asked)


def test_the_one_before_and_the_one_after_are_known(database: Database) -> None:
    in_order = sorted(ROWS, key=lambda one: (one.start, one.id))
    ids = ["", *(one.id for one in in_order), ""]
    for number, one in enumerate(in_order, start=1):
        assert beside(database, one) == (ids[number - 1], ids[number + 1])
