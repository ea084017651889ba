"""Deliveries: made with their detection or not at all, once for each key, in order, and settled once."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from birdwatchd.store import detections, opening
from birdwatchd.store.cells import to_text
from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Choice, Order, Outcome, find, revive
from birdwatchd.store.outbox import Outbox
from birdwatchd.store.posting import Posting
from birdwatchd.store.recorder import Recorder
from birdwatchd.store.schema import STEPS
from tests.rows import DAWN, Clock, detection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from birdwatchd.domain import Detection, Tally

WEEK = timedelta(days=7)


class Everything:
    """A router that sends each detection to everyone, and counts how it is settled."""

    def __init__(self, *orders: Order) -> None:
        self.orders = orders or (Order("mqtt", "durable", WEEK),)
        self.settled: list[bool] = []
        self.tallies: list[Tally] = []
        self.moved: list[tuple[datetime, float]] = []

    def route(self, detection: Detection, tally: Tally) -> Sequence[Order]:
        self.tallies.append(tally)
        return self.orders

    def settle(self, *, kept: bool) -> None:
        self.settled.append(kept)

    def move(self, before: datetime, seconds: float) -> None:
        self.moved.append((before, seconds))


class Post:
    """A recorder that posts, the outbox beside it, and who was woken."""

    def __init__(self, path: Path, router: Everything, run_id: str = "run-1") -> None:
        self.clock = Clock()
        self.woken: list[set[str]] = []
        self.database = Database.open(path)
        posting = Posting(router, DAWN.tzinfo, self.woken.append)  # type: ignore[arg-type] # it is UTC
        self.recorder = Recorder(
            self.database, run_id=run_id, posting=posting, wall=self.clock.wall, monotonic=self.clock
        )
        self.outbox = Outbox(self.database)

    def close(self) -> None:
        self.outbox.close()
        self.database.close()


@pytest.fixture
def router() -> Everything:
    return Everything()


@pytest.fixture
def post(tmp_path: Path, router: Everything) -> Iterator[Post]:
    made = Post(tmp_path / "db", router)
    yield made
    made.close()


def test_a_delivery_carries_the_detection_as_it_was(post: Post, router: Everything) -> None:
    started, ended = detection(0, state="started", seconds=3), detection(0, seconds=12)
    post.recorder.record(started)
    post.recorder.record(ended)
    first, second = post.outbox.waiting("mqtt", 10)
    assert (first.delivery.detection, second.delivery.detection) == (started, ended)
    assert first.delivery.tally == router.tallies[0]
    assert [entry.delivery.key for entry in (first, second)] == [
        f"{started.id}/started/mqtt",
        f"{started.id}/ended/mqtt",
    ]
    assert (first.delivery.created, first.expires) == (DAWN, DAWN + WEEK)
    assert post.woken == [{"mqtt"}, {"mqtt"}]


def test_a_replay_makes_no_second_delivery(post: Post) -> None:
    post.recorder.record(detection(0))
    (entry,) = post.outbox.waiting("mqtt", 10)
    post.outbox.settle([Outcome(entry.number, "done", 1)], DAWN)
    post.recorder.record(detection(0))
    assert post.outbox.waiting("mqtt", 10) == []
    assert post.outbox.count_waiting() == 0
    assert post.woken == [{"mqtt"}]


def test_when_nothing_is_committed_nothing_was_routed(
    post: Post, router: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    router.settled.clear()
    full = post.database.transaction

    def failing() -> object:
        raise sqlite3.OperationalError

    monkeypatch.setattr(post.database, "transaction", failing)
    with pytest.raises(sqlite3.OperationalError):
        post.recorder.record(detection(0))
    assert (router.settled, post.woken) == ([False], [])
    monkeypatch.setattr(post.database, "transaction", full)
    post.recorder.flush()
    assert (router.settled, post.woken) == ([False, True], [{"mqtt"}])


def test_they_come_in_the_order_of_their_making(post: Post) -> None:
    for second in (30, 10, 20):
        post.recorder.record(detection(second))
    starts = [entry.delivery.detection.start_sample // 48000 for entry in post.outbox.waiting("mqtt", 10)]
    assert starts == [30, 10, 20]
    assert [entry.number for entry in post.outbox.waiting("mqtt", 2)] == [1, 2]


def test_what_is_put_off_is_not_due(post: Post) -> None:
    later = DAWN + timedelta(seconds=30)
    for second in (0, 10):
        post.recorder.record(detection(second))
    post.outbox.settle([Outcome(1, "waiting", 1, "no network", later, {"tries": 1})], DAWN)
    assert [entry.number for entry in post.outbox.waiting("mqtt", 10, due=DAWN)] == [2]
    assert [entry.number for entry in post.outbox.waiting("mqtt", 10, due=later)] == [1, 2]
    assert post.outbox.next_due("mqtt") == DAWN
    post.outbox.settle([Outcome(2, "done", 1)], DAWN)
    assert post.outbox.next_due("mqtt") == later
    (entry,) = post.outbox.waiting("mqtt", 10)
    assert (entry.delivery.attempts, entry.delivery.error, entry.notes) == (1, "no network", {"tries": 1})


def test_what_is_settled_stays_settled(post: Post) -> None:
    post.recorder.record(detection(0))
    post.outbox.settle([Outcome(1, "done", 1)], DAWN)
    post.outbox.settle([Outcome(1, "waiting", 2, "late", DAWN)], DAWN)
    (entry,) = find(post.database, Choice())
    assert (entry.delivery.status, entry.delivery.error, entry.settled) == ("done", "", DAWN)


def test_old_ones_expire_with_their_last_error(post: Post) -> None:
    for second in (0, 10):
        post.recorder.record(detection(second))
    post.outbox.settle([Outcome(1, "waiting", 1, "no network", DAWN)], DAWN)
    assert post.outbox.expire("mqtt", "dead", "older than 7 days", DAWN + WEEK - timedelta(seconds=1)) == 0
    assert post.outbox.expire("mqtt", "dead", "older than 7 days", DAWN + WEEK) == 2
    errors = [entry.delivery.error for entry in find(post.database, Choice(statuses=("dead",)))]
    assert errors == ["older than 7 days; the last attempt: no network", "older than 7 days"]


def test_too_many_make_the_oldest_give_way(post: Post) -> None:
    for second in range(5):
        post.recorder.record(detection(second))
    assert post.outbox.trim("mqtt", 5, "more than 5 were waiting", DAWN) == 0
    assert post.outbox.trim("mqtt", 3, "more than 3 were waiting", DAWN) == 2
    assert [entry.number for entry in post.outbox.waiting("mqtt", 10)] == [3, 4, 5]


def test_what_was_settled_long_ago_is_forgotten_and_what_waits_is_not(post: Post) -> None:
    for second in range(3):
        post.recorder.record(detection(second))
    post.outbox.settle([Outcome(1, "done", 1), Outcome(3, "done", 1)], DAWN)
    assert post.outbox.prune(DAWN) == 0
    assert post.outbox.prune(DAWN + timedelta(days=30), at_most=2) == 1
    assert post.outbox.prune(DAWN + timedelta(days=30)) == 1
    assert [entry.number for entry in find(post.database, Choice())] == [2]


def test_the_dead_are_revived_with_as_much_time_as_they_had(post: Post) -> None:
    for second in range(4):
        post.recorder.record(detection(second))
    post.outbox.settle(
        [Outcome(n, "dead", 3, "refused") for n in (1, 2, 3)] + [Outcome(4, "expired", 0)], DAWN
    )
    now = DAWN + timedelta(days=20)
    by_id, by_key = (detection(second).id for second in (0, 1))
    assert revive(post.database, Choice(keys=(by_id, f"{by_key}/ended/mqtt", "nobody")), now) == 2
    assert revive(post.database, Choice(actions=("other",)), now) == 0
    entries = post.outbox.waiting("mqtt", 10)
    assert [entry.number for entry in entries] == [1, 2]
    assert {(entry.delivery.attempts, entry.next, entry.settled) for entry in entries} == {(0, now, None)}
    assert all(abs(entry.expires - now - WEEK) < timedelta(milliseconds=5) for entry in entries)
    assert revive(post.database, Choice(), now) == 1
    assert [entry.delivery.status for entry in find(post.database, Choice())][3] == "expired"


def test_a_bounded_delivery_waits_for_the_end_of_its_detection(tmp_path: Path) -> None:
    clip = Order("clips", "bounded", timedelta(hours=1), after_samples=1000)
    post = Post(tmp_path / "db", Everything(clip))
    started, ended = detection(0, state="started", seconds=3), detection(0, seconds=12, score=0.99)
    post.recorder.record(started)
    (entry,) = post.outbox.waiting("clips", 10)
    assert (entry.ready_source, entry.ready_sample) == ("garden", None)
    post.recorder.record(ended)
    first, second = post.outbox.waiting("clips", 10)
    assert first.ready_sample == second.ready_sample == ended.end_sample + 1000
    # It is the whole of it, under the key that it had.
    assert first.delivery.detection == replace(ended, state="started")
    post.close()


def test_what_a_dead_run_left_going_on_is_told_of_by_the_next(tmp_path: Path) -> None:
    first = Post(tmp_path / "db", Everything())
    first.recorder.record(detection(0, state="started"))
    first.close()
    second = Post(tmp_path / "db", Everything(), run_id="run-2")
    told = [entry.delivery.detection for entry in second.outbox.waiting("mqtt", 10)]
    assert told == [detection(0, state="started"), detection(0, state="ended")]
    assert second.woken == [{"mqtt"}]
    second.close()
    third = Post(tmp_path / "db", Everything(), run_id="run-3")
    assert third.outbox.count_waiting() == 2
    third.close()


def test_the_newest_are_found_page_by_page(post: Post) -> None:
    for second in range(1200):
        post.clock.seconds = second
        post.recorder.record(detection(second))
    since = list(post.outbox.since(DAWN + timedelta(seconds=600)))
    assert [one.detection.start_sample // 48000 for one in since] == list(range(1199, 599, -1))
    assert [entry.number for entry in find(post.database, Choice(), newest=3)] == [1198, 1199, 1200]
    assert len(list(find(post.database, Choice(since=DAWN + timedelta(seconds=1000))))) == 200


def test_a_database_of_the_first_format_gets_an_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(opening, "STEPS", STEPS[:1])
        with Database.open(tmp_path / "db") as database, database.transaction() as connection:
            connection.execute(
                "INSERT INTO runs VALUES ('run-1', ?, ?, NULL, '', '', '', '')", (to_text(DAWN),) * 2
            )
            old = dict(zip(detections.COLUMNS, detections.to_row(detection(0)), strict=True))
            del old["dating"]
            connection.execute(
                f"INSERT INTO detections ({', '.join(old)}) VALUES ({', '.join('?' * len(old))})",  # noqa: S608 - columns
                list(old.values()),
            )
    post = Post(tmp_path / "db", Everything(), run_id="run-2")
    post.recorder.record(detection(60, run_id="run-2"))
    assert post.outbox.count_waiting(["mqtt"]) == 1
    assert [one.dating for one in detections.find(post.database, detections.Choice())] == ["", ""]
    post.close()
