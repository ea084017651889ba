from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.store import reviews
from birdwatchd.store.database import Database
from birdwatchd.store.reviews import Review
from tests.rows import DAWN, detection, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIT = detection()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    write(tmp_path / "birds.sqlite", TIT, detection(60.0))
    with Database.open_beside(tmp_path / "birds.sqlite") as opened:
        yield opened


def review(verdict: str = "right", minutes: float = 0, **changes: Any) -> Review:
    return Review(TIT.id, DAWN + timedelta(minutes=minutes), verdict, **changes)  # type: ignore[arg-type]


def test_the_newest_counts_and_all_stay(database: Database) -> None:
    reviews.add(database, review("wrong", reviewer="Ada"))
    reviews.add(
        database, review("other", 1, scientific_name="Parus ater", common_name="Coal Tit", reviewer="Bo")
    )
    assert [one.verdict for one in reviews.of(database, TIT.id)] == ["wrong", "other"]
    (last,) = reviews.latest(database)
    assert (last.verdict, last.scientific_name, last.reviewer) == ("other", "Parus ater", "Bo")
    assert (
        database.rows("SELECT scientific_name FROM detections WHERE id = ?", (TIT.id,))[0][0] == "Parus major"
    )


def test_what_is_withdrawn_stays_too(database: Database) -> None:
    reviews.add(database, review("right"))
    reviews.add(database, review("withdrawn", 1))
    assert [one.verdict for one in reviews.latest(database)] == ["withdrawn"]
    assert [one.verdict for one in reviews.of(database, TIT.id)] == ["right", "withdrawn"]


def test_what_is_said_later_is_later_whatever_the_clock_says(database: Database) -> None:
    reviews.add(database, review("right"))
    said = reviews.add(database, review("wrong", -60))
    assert said.said == DAWN + timedelta(microseconds=1)
    assert [one.verdict for one in reviews.latest(database)] == ["wrong"]


@pytest.mark.parametrize("statement", ["UPDATE reviews SET verdict = 'wrong'", "DELETE FROM reviews"])
def test_nothing_that_was_said_is_changed(database: Database, statement: str) -> None:
    reviews.add(database, review("right"))
    with (
        pytest.raises(sqlite3.IntegrityError, match="a verdict is never"),
        database.transaction() as connection,
    ):
        connection.execute(statement)
    assert [one.verdict for one in reviews.of(database, TIT.id)] == ["right"]


@pytest.mark.parametrize(
    "senseless",
    [
        review("perhaps"),
        review("other"),
        review("right", scientific_name="Parus ater"),
        review(reviewer="two\nlines"),
        review(reviewer="x" * 201),
    ],
)
def test_what_makes_no_sense_is_refused(database: Database, senseless: Review) -> None:
    with pytest.raises(ValueError, match="Review"):
        reviews.add(database, senseless)
    assert reviews.of(database, TIT.id) == []


def test_of_what_is_not_there_nothing_is_said(database: Database) -> None:
    with pytest.raises(LookupError):
        reviews.add(database, Review("nothing", DAWN, "right"))


def test_the_newest_come_first_and_go_on_page_by_page(database: Database) -> None:
    for minutes, verdict in enumerate(("right", "wrong", "unsure")):
        reviews.add(database, review(verdict, minutes))
    first = reviews.newest(database, limit=2)
    assert [one.verdict for one in first] == ["unsure", "wrong"]
    last = first[-1]
    rest = reviews.newest(database, limit=2, before=(last.said, last.detection_id))
    assert [one.verdict for one in rest] == ["right"]


def test_the_clips_of_what_was_judged_for_certain(tmp_path: Path) -> None:
    said = ("right", "wrong", "unsure", "withdrawn", "")
    found = [detection(60.0 * number, clip_path=f"a/{number}") for number in range(len(said))]
    with Database.open_beside(write(tmp_path / "birds.sqlite", *found)) as database:
        for one, verdict in zip(found, said, strict=True):
            if verdict:
                reviews.add(database, Review(one.id, DAWN, "right"))
                reviews.add(database, Review(one.id, DAWN, verdict))  # type: ignore[arg-type]
        assert reviews.judged_clips(database) == {"a/0", "a/1"}


def test_verdicts_are_saved_from_a_damaged_database_and_its_backup(tmp_path: Path) -> None:
    """Salvage reads pages, and a row of the backup that is older than one in the damaged file does not count again."""
    from birdwatchd.store.salvage import salvage

    path = write(tmp_path / "birds.sqlite", TIT)
    with Database.open_beside(path) as opened:
        for number in range(60):
            reviews.add(opened, review("wrong", number, reviewer=f"Ada {number}"))
    backup = tmp_path / "backup.sqlite"
    with sqlite3.connect(path) as source, sqlite3.connect(backup) as copy:
        source.backup(copy)
    with Database.open_beside(path) as opened:
        reviews.add(opened, review("right", 100))
    with Database.open(tmp_path / "new.sqlite") as fresh:
        connection = fresh._connection
        copied = salvage(path, connection, until=float("inf"), keep_places=True)
        assert copied["reviews"] == 61
        assert salvage(backup, connection, until=float("inf"), keep_places=False)["reviews"] == 0
        assert [one.verdict for one in reviews.latest(fresh)] == ["right"]
        assert len(reviews.of(fresh, TIT.id)) == 61
