from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.domain import Label
from birdwatchd.store import queues, reviews
from birdwatchd.store.database import Database
from birdwatchd.store.queues import Wish, upcoming
from birdwatchd.store.reviews import Review
from tests.rows import BLACKBIRD, COOT, DAWN, GREAT_TIT, detection, write

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.domain import Detection

DAY = 86400.0
ROBIN = Label(3, "Erithacus rubecula", "Robin")
YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def heard(at: float, label: Label = GREAT_TIT, score: float = 0.9, **changes: Any) -> Detection:
    return detection(at, label, score=score, **({"clip_path": f"clips/{at}"} | changes))


def store(folder: Path, *found: Detection) -> Path:
    return write(folder / "birds.sqlite", *found)


def judge(path: Path, one: Detection, verdict: str = "right", **changes: Any) -> None:
    with Database.open_beside(path) as database:
        reviews.add(database, Review(one.id, DAWN, verdict, **changes))  # type: ignore[arg-type]


def listed(path: Path, wish: Wish, *, gone: tuple[Detection, ...] = ()) -> list[str]:
    """The whole queue, one at a time as a person goes through it."""
    ids: list[str] = []
    with Database.open(path, read_only=True) as database:
        while True:
            found = upcoming(
                database,
                wish,
                lambda path: path not in {one.clip_path for one in gone},
                after=ids[-1] if ids else "",
                count=1,
            )
            if not found.turns:
                return ids
            ids.append(found.turns[0].detection.id)
            assert len(ids) == len(set(ids))


def test_the_most_doubtful_come_first_and_what_was_judged_not_at_all(tmp_path: Path) -> None:
    sure, close, closer = heard(0, score=0.99), heard(60, score=0.75), heard(120, score=0.82, threshold=0.81)
    same = heard(180, score=0.75)
    path = store(tmp_path, sure, close, closer, same)
    assert listed(path, Wish()) == [closer.id, close.id, same.id, sure.id]
    judge(path, close)
    judge(path, sure)
    judge(path, sure, "withdrawn")
    assert listed(path, Wish()) == [closer.id, same.id, sure.id]


def test_what_cannot_be_listened_to_is_passed_over_and_counted(tmp_path: Path) -> None:
    kept, gone = heard(0, score=0.8), heard(60, score=0.71)
    path = store(
        tmp_path, kept, gone, heard(120, voice=True), heard(180, clip_path=""), heard(240, state="started")
    )
    assert listed(path, Wish(), gone=(gone,)) == [kept.id]
    with Database.open(path, read_only=True) as database:
        assert upcoming(database, Wish(), lambda path: path != gone.clip_path).without_sound == 1


def test_where_much_sound_is_gone_it_can_be_looked_for_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "MOST_LOOKED_AT", 4)
    every = [heard(60.0 * number, score=0.7 + number / 100) for number in range(10)]
    with Database.open(store(tmp_path, *every), read_only=True) as database:
        found = upcoming(database, Wish(), lambda path: path == every[6].clip_path)
        assert (found.turns, found.without_sound, found.further) == ([], 4, every[3].id)
        found = upcoming(
            database, Wish(), lambda path: path == every[6].clip_path, after=found.further, count=1
        )
        assert [turn.detection.id for turn in found.turns] == [every[6].id]
        assert found.further == ""


def test_no_queue_goes_through_all_rows(tmp_path: Path) -> None:
    """As SQLite plans it: a table that is read from end to end would take seconds one day."""
    path = store(tmp_path, *(heard(60.0 * number, label) for number in range(9) for label in (ROBIN, COOT)))
    asked: list[str] = []
    with Database.open(path, read_only=True) as database:
        database._connection.set_trace_callback(asked.append)
        for queue in queues.NAMES:
            for since in (None, DAWN):
                for species in ("", "Fulica atra"):
                    upcoming(database, Wish(queue, since, species), lambda _: True)
        database._connection.set_trace_callback(None)
        assert len(asked) > 40
        for statement in asked:
            for row in database.rows(f"EXPLAIN QUERY PLAN {statement}"):
                plan = row["detail"]
                is_in_order = (
                    "USING INDEX detections_by_doubt" in plan or "sqlite_autoindex_detections_1" in plan
                )
                assert not plan.startswith("SCAN detections") or is_in_order, (plan, statement)


@pytest.mark.parametrize("queue", ["doubtful", "sample", "rarest"])
def test_the_time_and_the_species_that_are_asked_for(tmp_path: Path, queue: queues.Name) -> None:
    old, new, other = heard(-9 * DAY), heard(0), heard(60, BLACKBIRD)
    path = store(tmp_path, old, new, other)
    since = DAWN - timedelta(days=7)
    assert set(listed(path, Wish(queue))) == {old.id, new.id, other.id}
    assert set(listed(path, Wish(queue, since=since))) == {new.id, other.id}
    assert listed(path, Wish(queue, since=since, species="Parus major")) == [new.id]
    assert set(listed(path, Wish(queue, species="Parus major"))) == {old.id, new.id}


def test_the_order_is_the_same_whether_it_is_sorted_or_read_from_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = [heard(60.0 * number, score=0.7 + (number * 37 % 30) / 100) for number in range(60)]
    path = store(tmp_path, *every)
    wishes = [
        Wish(queue, since=DAWN + timedelta(minutes=9), species=species)
        for queue in ("doubtful", "sample")
        for species in ("", "Parus major")
    ]
    by_sorting = [listed(path, wish) for wish in wishes]
    monkeypatch.setattr(queues, "_SORTED", 5)
    assert [listed(path, wish) for wish in wishes] == by_sorting
    assert len(by_sorting[0]) == 51


def test_the_sample_has_nothing_to_do_with_what_was_heard(tmp_path: Path) -> None:
    every = [heard(60.0 * number, score=0.7 + number / 300) for number in range(80)]
    drawn = listed(store(tmp_path, *every), Wish("sample"))
    places = [[one.id for one in every].index(each) for each in drawn[:20]]
    assert sorted(drawn) == drawn
    assert 20 < sum(places) / 20 < 60


def test_the_rarest_species_come_first_and_common_ones_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "RARE", 3)
    tits = [heard(60.0 * number) for number in range(4)]
    robins = [heard(1000 + 60.0 * number, ROBIN) for number in range(2)]
    blackbird = heard(2000, BLACKBIRD)
    path = store(tmp_path, *tits, *robins, blackbird)
    assert listed(path, Wish("rarest")) == [blackbird.id, robins[1].id, robins[0].id]


def test_new_is_the_first_of_a_species_until_somebody_has_judged_it(tmp_path: Path) -> None:
    ever, of_the_year = heard(-200 * DAY), heard(-9 * DAY)
    again, robin = heard(0), heard(-DAY, ROBIN)
    path = store(tmp_path, ever, of_the_year, again, robin)
    wish = Wish("new", since=YEAR)
    assert listed(path, wish) == [robin.id, of_the_year.id, ever.id]
    with Database.open(path, read_only=True) as database:
        whys = [turn.why for turn in upcoming(database, wish, lambda _: True, count=9).turns]
    assert whys == ["first ever", "first of the year", "first ever"]
    judge(path, robin, "wrong")
    judge(path, of_the_year, "right")
    assert listed(path, wish) == [ever.id]
    judge(path, ever, "other", scientific_name="Turdus merula")
    assert listed(path, wish) == []


def test_after_a_wrong_first_the_next_is_the_first(tmp_path: Path) -> None:
    first, second = heard(0, ROBIN), heard(60, ROBIN)
    path = store(tmp_path, first, second)
    judge(path, first, "wrong")
    assert listed(path, Wish("new", since=YEAR)) == [second.id]
