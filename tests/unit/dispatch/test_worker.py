"""Deliveries through real workers and a real outbox: each is done, or has its reason."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.actions import GiveUp, Postpone
from birdwatchd.dispatch import verdict, worker
from birdwatchd.store.deliveries import Choice, revive
from birdwatchd.store.outbox import Outbox
from tests.acting import (
    Batches,
    Bounded,
    Fleeting,
    Notebook,
    Ordered,
    config,
    failing,
    opened_entries,
    post,
    wait_until,
)
from tests.doubles import sample_health
from tests.rows import detection

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.actions import Context
    from birdwatchd.domain import Detection


pytestmark = pytest.mark.usefixtures("quick")


def test_one_that_is_off_does_nothing(path: Path) -> None:
    with post(path, Notebook(config(enabled=False))) as opened:
        opened.hear(0)
        assert opened.statuses() == []


def test_each_delivery_is_done_in_order(path: Path) -> None:
    action = Notebook(config())
    with post(path, action) as opened:
        ids = opened.hear(*range(20))
        opened.wait_for(["done"] * 20)
    assert action.done == ids
    assert {entry.delivery.attempts for entry in opened_entries(path)} == {1}


def test_everything_but_the_constructor_is_on_the_actions_own_thread(path: Path) -> None:
    action, other = Notebook(config()), Notebook(config("two"))
    with post(path, action, other) as opened:
        opened.desk.inform(sample_health())
        opened.hear(0)
        opened.wait_for(["done", "done"])
        wait_until(lambda: bool(action.health))
    assert (action.entered, action.left, len(action.threads)) == (1, 1, 1)
    assert action.threads.isdisjoint(other.threads | {threading.get_ident()})


def test_what_waited_when_the_process_ended_is_done_by_the_next(path: Path) -> None:
    never = Notebook(config(), failing(99, OSError("no network")))
    with post(path, never) as opened:
        (first,) = opened.hear(10)
        wait_until(lambda: never.asked[first] > 1)
    action = Notebook(config())
    with post(path, action, run_id="run-2") as opened:
        opened.wait_for(["done"])
    assert action.done == [first]


def test_a_failing_one_is_tried_again_until_it_is_done(path: Path) -> None:
    action = Notebook(config(), failing(3, OSError("no network")))
    with post(path, action) as opened:
        opened.hear(0, 10)
        opened.wait_for(["done", "done"])
        assert [entry.delivery.attempts for entry in opened.entries()] == [4, 4]
        assert [entry.delivery.error for entry in opened.entries()] == ["", ""]


def test_the_error_of_the_last_attempt_can_be_read_while_it_waits(path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(verdict, "FIRST_PAUSE_SECONDS", 60)
    with post(path, Notebook(config(), failing(99, OSError("no\nnetwork")))) as opened:
        opened.hear(0)
        wait_until(lambda: opened.entries()[0].delivery.error != "")
        (entry,) = opened.entries()
    assert (entry.delivery.error, entry.delivery.attempts) == ("OSError: no network", 1)
    assert entry.next > entry.delivery.created + timedelta(seconds=29)


def test_pauses_double_up_to_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "FIRST_PAUSE_SECONDS", 1.0)
    for attempts in range(1, 30):
        most = min(300.0, 2.0**attempts)
        pauses = [verdict.pause_seconds(attempts) for _ in range(20)]
        assert all(most / 2 <= pause <= most for pause in pauses)
        assert len(set(pauses)) > 1


def test_giving_up_is_for_good_until_it_is_revived(path: Path) -> None:
    action = Notebook(config(), failing(1, GiveUp("they say 410 Gone")))
    with post(path, action) as opened:
        opened.hear(0)
        opened.wait_for(["dead"])
        assert opened.entries()[0].delivery.error == "they say 410 Gone"
        revive(opened.database, Choice(), opened.entries()[0].delivery.created)
        opened.desk.wake({"one"})
        opened.wait_for(["done"])


def test_what_another_program_revives_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "TEND_SECONDS", 0.1)
    with post(path, Notebook(config(), failing(1, GiveUp("no")))) as opened:
        opened.hear(0)
        opened.wait_for(["dead"])
        revive(opened.database, Choice(), opened.entries()[0].delivery.created)
        opened.wait_for(["done"])


def test_postponing_says_when(path: Path) -> None:
    with post(path, Notebook(config(), failing(1, Postpone("busy", 3600)))) as opened:
        opened.hear(0)
        wait_until(lambda: opened.entries()[0].delivery.error == "busy")
        (entry,) = opened.entries()
    assert timedelta(minutes=59) < entry.next - entry.delivery.created < timedelta(minutes=61)


def test_a_poisoned_one_does_not_hold_up_the_others(path: Path) -> None:
    ids = [detection(second).id for second in (0, 10, 20)]

    def plan(found: Detection, attempt: int) -> None:
        if found.id == ids[0]:
            raise KeyError(attempt)

    action = Notebook(config(), plan)
    with post(path, action) as opened:
        opened.hear(0, 10, 20)
        opened.wait_for(["waiting", "done", "done"])


def test_an_ordered_action_waits_for_the_one_that_fails(path: Path) -> None:
    ids = [detection(second).id for second in (0, 10, 20)]
    gate = threading.Event()

    def plan(found: Detection, _: int) -> None:
        if found.id == ids[0] and not gate.is_set():
            raise OSError("no network")

    action = Ordered(config(), plan)
    with post(path, action) as opened:
        opened.hear(0, 10, 20)
        wait_until(lambda: action.asked[ids[0]] > 3)
        assert action.done == []
        gate.set()
        opened.wait_for(["done"] * 3)
    assert action.done == ids


def test_an_ordered_action_waits_for_it_also_after_a_restart(path: Path) -> None:
    with post(path, Ordered(config(), failing(1, Postpone("busy", 3600)))) as opened:
        opened.hear(0, 10)
        wait_until(lambda: opened.entries()[0].delivery.attempts == 1)
    action = Ordered(config())
    with post(path, action, run_id="run-2") as opened:
        opened.hear(20)
        with pytest.raises(AssertionError):
            wait_until(lambda: bool(action.done), 0.3)
        assert opened.statuses() == ["waiting"] * 3


def test_an_ordered_action_passes_over_what_is_given_up(path: Path) -> None:
    first = detection(0).id

    def plan(found: Detection, _: int) -> None:
        if found.id == first:
            raise GiveUp("too long")

    with post(path, Ordered(config(), plan)) as opened:
        opened.hear(0, 10)
        opened.wait_for(["dead", "done"])


def test_batches_are_as_large_as_the_action_takes_them(path: Path) -> None:
    gate = threading.Event()

    def plan(_: Detection, __: int) -> None:
        gate.wait(60)

    action = Batches(config(), plan)
    with post(path, action) as opened:
        opened.hear(*range(12))
        gate.set()
        opened.wait_for(["done"] * 12)
    assert sum(action.batches) == 12
    assert action.batches[1:] == [5] * (len(action.batches) - 2) + action.batches[-1:]
    assert max(action.batches) == 5


def test_each_of_a_batch_has_its_own_outcome(path: Path) -> None:
    bad = detection(1).id

    def plan(found: Detection, attempt: int) -> None:
        if found.id == bad:
            raise GiveUp("no")
        if attempt == 1:
            raise OSError("once")

    with post(path, Batches(config(), plan)) as opened:
        opened.hear(0, 1, 2)
        opened.wait_for(["done", "dead", "done"])


@pytest.mark.parametrize(("kind", "status"), [(Notebook, "dead"), (Fleeting, "expired"), (Bounded, "lost")])
def test_what_is_too_old_is_given_up(path: Path, kind: type[Notebook], status: str) -> None:
    later = timedelta()
    action = kind(config(max_age_seconds=60), failing(999, OSError("no network")))
    with post(path, action, wall=lambda: datetime.now(UTC) + later) as opened:
        opened.hear(0)
        wait_until(lambda: opened.entries()[0].delivery.error != "")
        later = timedelta(seconds=61)
        opened.wait_for([status])
        (entry,) = opened.entries()
    assert entry.delivery.error == "not done within 60 seconds; the last attempt: OSError: no network"


def test_what_grew_too_old_while_nobody_was_there_is_given_up_at_once(path: Path) -> None:
    action = Notebook(config(max_age_seconds=60), failing(999, OSError("x")))
    with post(path, action) as opened:
        opened.hear(*range(50))
    later = Notebook(config(max_age_seconds=60))
    a_minute_later = datetime.now(UTC) + timedelta(seconds=61)
    with post(path, later, run_id="run-2", wall=lambda: a_minute_later) as opened:
        opened.wait_for(["dead"] * 50)
    assert later.done == []


def test_too_many_make_the_oldest_give_way(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "TEND_SECONDS", 0.05)
    gate = threading.Event()
    action = Notebook(config(max_waiting=3), failing(999, Postpone("no network", 3600)))
    with post(path, action) as opened:
        opened.hear(*range(5))
        opened.wait_for(["expired"] * 2 + ["waiting"] * 3)
        assert opened.entries()[0].delivery.error == "more than 3 were waiting"
    gate.set()


def test_notes_are_kept_through_all_attempts(path: Path) -> None:
    class Camera(Notebook):
        def run(self, found: Detection, context: Context) -> None:
            self.asked[found.id] += 1
            context.note(**{f"try_{self.asked[found.id]}": True})
            if self.asked[found.id] == 1:
                raise OSError
            context.note(latency_seconds=0.25)

    with post(path, Camera(config())) as opened:
        opened.hear(0)
        opened.wait_for(["done"])
        assert opened.entries()[0].notes == {"try_1": True, "try_2": True, "latency_seconds": 0.25}


def test_what_is_due_is_done_before_it_ends(path: Path) -> None:
    action = Notebook(config())
    with post(path, action) as opened:
        opened.hear(*range(50))
    assert len(action.done) == 50
    assert action.left == 1


def test_nothing_is_read_while_nothing_happens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[object] = []
    waiting = Outbox.waiting

    def counted(*arguments: Any, **named: Any) -> Any:
        reads.append(arguments)
        return waiting(*arguments, **named)

    monkeypatch.setattr(Outbox, "waiting", counted)
    with post(path, Notebook(config())) as opened:
        wait_until(lambda: len(reads) == 1)
        for second in (0, 10):
            before = len(reads)
            opened.hear(second)
            # What there is, and that there is nothing more.
            wait_until(lambda before=before: len(reads) == before + 2)  # type: ignore[misc] # a lambda's default
        assert opened.statuses() == ["done", "done"]
        with pytest.raises(AssertionError):
            wait_until(lambda: len(reads) > 5, 0.3)
