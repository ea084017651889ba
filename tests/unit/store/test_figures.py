from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.store import figures as module
from birdwatchd.store import reviews
from birdwatchd.store.counts import count, is_complete
from birdwatchd.store.database import Database
from birdwatchd.store.figures import Figures, Share, figures, suggest
from birdwatchd.store.reviews import Review
from tests.rows import BLACKBIRD, DAWN, detection, entry, write

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.domain import Detection


@pytest.mark.parametrize(
    ("right", "judged", "low", "high"),
    [
        # From R 4.2: prop.test(right, judged, correct = FALSE).
        (8, 10, 0.4901625, 0.9433178),
        (95, 100, 0.8882498, 0.9784564),
        (1, 3, 0.0614919, 0.7923404),
        (0, 10, 0.0, 0.2775328),
        (10, 10, 0.7224672, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_is_wilsons(right: int, judged: int, low: float, high: float) -> None:
    assert Share(right, judged).interval == pytest.approx((low, high), abs=1e-6)


def test_the_lowest_threshold_that_is_right_often_enough() -> None:
    scores = [0.99, 0.98, 0.95, 0.9, 0.85, 0.8, 0.75, 0.72]
    right = [True, True, True, True, True, False, True, False]
    found = suggest(scores, right, 0.9, 0.7)
    assert (found.threshold, found.above, found.lost) == (0.83, Share(5, 5), 1)
    assert suggest(scores, right, 0.8, 0.7).threshold == 0.74
    assert suggest(scores, right, 0.7, 0.7).threshold == 0.7
    assert suggest(scores, [not one for one in right], 0.9, 0.7).threshold is None


def test_scores_that_are_close_have_a_threshold_between_them() -> None:
    sure = [0.99] * 4
    assert suggest([*sure, 0.9004, 0.9001], [True] * 5 + [False], 0.9, 0.7).threshold == 0.9003
    assert suggest([*sure, 0.9, 0.9, 0.8], [True] * 5 + [False, False], 0.9, 0.7).threshold is None


def test_from_a_few_nothing_is_suggested_but_that_all_are_right() -> None:
    assert suggest([0.9, 0.8, 0.75], [True, True, False], 0.9, 0.7).threshold is None
    assert suggest([0.9, 0.8], [True, True], 0.9, 0.7).threshold == 0.7


def store(folder: Path, *found: tuple[Detection, str, str]) -> Path:
    """Detections with their verdicts and queues, and ten hours that were listened to."""
    path = write(
        folder / "birds.sqlite",
        *(one for one, _, _ in found),
        entry(18_000, "analysed"),
        entry(18_000, "analysed", source="roof"),
        entry(36_000, "expected"),
        entry(3600, "analysed", hours=-48),
    )
    with Database.open_beside(path) as database:
        for number, (one, verdict, queue) in enumerate(found):
            other = ("Fulica atra", "Coot") if verdict == "other" else ("", "")
            if verdict:
                reviews.add(
                    database,
                    Review(one.id, DAWN + timedelta(seconds=number), verdict, *other, queue=queue),  # type: ignore[arg-type]
                )
    return path


def ask(path: Path, **more: Any) -> Figures:
    with Database.open(path, read_only=True) as database:
        return figures(database, **more)


def test_what_was_judged_is_counted_by_species_and_in_all(tmp_path: Path) -> None:
    path = store(
        tmp_path,
        (detection(0, score=0.95), "right", "sample"),
        (detection(60, score=0.75), "wrong", "sample"),
        (detection(120), "other", "doubtful"),
        (detection(180), "unsure", "sample"),
        (detection(240), "", ""),
        (detection(300, BLACKBIRD, model="garden-1"), "right", ""),
    )
    found = ask(path)
    assert [one.common_name for one in found.species] == ["Common Blackbird", "Great Tit"]
    tit = found.species[1]
    assert (tit.share, tit.wrong, tit.others, tit.unsure) == (Share(1, 3), 1, (("Coot", 1),), 1)
    assert tit.detections == 5
    assert tit.suggestion is not None
    assert (tit.suggestion.threshold, tit.suggestion.above) == (None, Share(1, 3))
    assert (found.share, found.unsure, found.detections) == (Share(2, 4), 1, 6)
    assert found.models == (("tiny-1", 4), ("garden-1", 1))


def test_of_all_time_the_days_counts_tell_the_same(tmp_path: Path) -> None:
    path = store(tmp_path, (detection(), "right", "sample"), (detection(90, BLACKBIRD), "wrong", "doubtful"))
    with Database.open(path) as database:
        before = figures(database)
        count(database, UTC)
        assert is_complete(database)
        assert figures(database) == before
        assert before.detections == 2


def test_false_alarms_an_hour_come_from_the_sample_and_the_ledgers_hours(tmp_path: Path) -> None:
    path = store(
        tmp_path,
        *((detection(60.0 * n), "right" if n % 4 else "wrong", "sample" if n < 8 else "") for n in range(12)),
        *((detection(3600 + 60.0 * n), "", "") for n in range(28)),
    )
    found = ask(path, by_chance=True, since=DAWN)
    assert (found.share, found.hours, found.detections) == (Share(6, 8), 10, 40)
    low, high = found.share.interval
    assert found.false_an_hour == pytest.approx((1.0, (1 - high) * 4, (1 - low) * 4))
    assert ask(path).found_an_hour == pytest.approx(3 / 11)


def test_of_another_time_or_model_nothing_is_counted(tmp_path: Path) -> None:
    path = store(
        tmp_path,
        (detection(0, model="old-1"), "wrong", "sample"),
        (detection(7200, model="new-1"), "right", "sample"),
        (detection(7260, model="new-1"), "", ""),
    )
    assert ask(path, model="new-1").share == Share(1, 1)
    assert ask(path, model="new-1").detections == 2
    assert ask(path, since=DAWN + timedelta(hours=1)).share == Share(1, 1)
    assert ask(path, since=DAWN + timedelta(days=1)) == Figures((), Share(0, 0), 0, 0, 0.0, ())


def test_what_is_too_much_to_be_looked_up_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store(tmp_path, (detection(0), "right", "sample"), (detection(60), "", ""))
    monkeypatch.setattr(module, "_MOST_LOOKED_UP", 1)
    found = ask(path, model="tiny-1")
    assert (found.detections, found.false_an_hour) == (None, None)
    assert found.share == Share(1, 1)


def test_the_verdict_that_counts_is_the_newest_and_the_draw_is_not_forgotten(tmp_path: Path) -> None:
    one = detection(0)
    path = store(tmp_path, (one, "wrong", "sample"))
    with Database.open_beside(path) as database:
        reviews.add(database, Review(one.id, DAWN + timedelta(hours=1), "right"))
    assert ask(path, by_chance=True).share == Share(1, 1)
    with Database.open_beside(path) as database:
        reviews.add(database, Review(one.id, DAWN + timedelta(hours=2), "withdrawn"))
    assert ask(path, by_chance=True).share == Share(0, 0)
