"""Workers whose actions hang, raise anything, and tell secrets, or whose database is in trouble."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest
from pydantic import SecretStr

from birdwatchd.actions import ActionConfig, GiveUp
from birdwatchd.dispatch import report, worker
from birdwatchd.domain import DailySummary
from tests.acting import Batches, Notebook, config, failing, opened_entries, post, wait_until
from tests.doubles import DAWN, sample_health

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.actions import Context
    from birdwatchd.domain import Detection


pytestmark = pytest.mark.usefixtures("quick")


def test_an_action_that_hangs_is_left_behind_and_hinders_nobody(path: Path) -> None:
    hangs, gate = threading.Event(), threading.Event()

    def plan(_: Detection, __: int) -> None:
        hangs.set()
        gate.wait(60)

    hanging = Notebook(config(timeout_seconds=0.05), plan)
    other = Notebook(config("two"))
    before = set(threading.enumerate())  # the thread of another test's may be about to end
    with post(path, hanging, other) as opened:
        ids = opened.hear(0, 10, 20)
        assert hangs.wait(60)
        opened.wait_for(["done"] * 3, "two")
        wait_until(lambda: opened.entries("one")[0].delivery.error == "Overdue: no answer within 0.05 s")
        assert hanging.asked == {ids[0]: 1}
        assert [one.name for one in {*threading.enumerate()} - before].count("action one") == 1
        gate.set()
        opened.wait_for(["done"] * 3, "one")
    # It had been done after all: it is not done again.
    assert hanging.done == ids
    assert opened_entries(path)[0].delivery.error == "late"


def test_what_returns_late_with_an_error_is_tried_again(path: Path) -> None:
    gate = threading.Event()

    def plan(_: Detection, attempt: int) -> None:
        if attempt == 1:
            gate.wait(60)
            raise OSError("the server hung up")

    action = Notebook(config(timeout_seconds=0.05), plan)
    with post(path, action) as opened:
        (only,) = opened.hear(0)
        wait_until(lambda: opened.entries()[0].delivery.attempts == 1)
        gate.set()
        opened.wait_for(["done"])
    assert action.asked[only] == 2


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), RecursionError("deep")])
def test_nothing_that_an_action_raises_ends_its_worker(path: Path, error: BaseException) -> None:
    action = Notebook(config(), failing(1, error))  # type: ignore[arg-type] # worse than an Exception
    with post(path, action) as opened:
        opened.hear(0, 10)
        opened.wait_for(["done", "done"])


def test_a_batch_that_says_too_little_is_not_done(path: Path) -> None:
    class Lying(Batches):
        def run_batch(self, items: Any) -> list[Exception | None]:
            self.batches.append(len(items))
            return [] if len(self.batches) == 1 else super().run_batch(items)

    action = Lying(config())
    with post(path, action) as opened:
        opened.hear(0)
        opened.wait_for(["done"])
    assert len(action.done) == 1


def test_one_that_cannot_begin_is_tried_again(path: Path) -> None:
    class Slow(Notebook):
        def __enter__(self) -> Self:
            super().__enter__()
            if self.entered < 3:
                raise OSError("no such device")
            return self

    action = Slow(config())
    with post(path, action) as opened:
        opened.hear(0)
        opened.wait_for(["done"])
    assert (action.entered, action.left) == (3, 1)


def test_health_is_told_once_and_only_the_latest(path: Path) -> None:
    gate, hangs = threading.Event(), threading.Event()

    def plan(_: Detection, __: int) -> None:
        hangs.set()
        gate.wait(60)

    action = Notebook(config(), plan)
    summary = DailySummary("wood", DAWN.date(), ())
    with post(path, action) as opened:
        opened.hear(0)
        assert hangs.wait(60)
        for waiting in range(5):
            opened.desk.inform(sample_health(deliveries_waiting=waiting))
        opened.desk.inform(summary)
        gate.set()
        wait_until(lambda: bool(action.health and action.summaries))
        opened.wait_for(["done"])
    assert [health.deliveries_waiting for health in action.health] == [4]
    assert action.summaries == [summary]


def test_an_action_that_chokes_on_the_news_goes_on(path: Path) -> None:
    class Choking(Notebook):
        def on_health(self, health: object) -> None:
            raise ZeroDivisionError

    with post(path, Choking(config())) as opened:
        opened.desk.inform(sample_health())
        opened.hear(0)
        opened.wait_for(["done"])


def test_a_days_summary_is_told_until_the_action_has_taken_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server may be away at midnight, and the next summary is a day away."""
    monkeypatch.setattr("birdwatchd.dispatch.news.pause_seconds", lambda _: 0.0)
    refused: list[DailySummary] = []

    class Away(Notebook):
        def on_daily(self, summary: DailySummary) -> None:
            if len(refused) < 2:
                refused.append(summary)
                raise ConnectionRefusedError
            super().on_daily(summary)

    action = Away(config())
    summary = DailySummary("wood", DAWN.date(), ())
    with post(path, action) as opened:
        opened.desk.inform(summary)
        opened.hear(0)
        wait_until(lambda: bool(action.summaries))
        opened.hear(60)
        opened.wait_for(["done", "done"])
    assert (refused, action.summaries) == ([summary, summary], [summary])


def test_an_action_that_is_slow_with_a_days_summary_is_not_told_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("birdwatchd.dispatch.news.pause_seconds", lambda _: 0.0)
    told: list[DailySummary] = []
    left_behind, may_end = threading.Event(), threading.Event()
    monkeypatch.setattr(report.Report, "left_behind", lambda *_: left_behind.set())

    class Slow(Notebook):
        def on_daily(self, summary: DailySummary) -> None:
            told.append(summary)
            if len(told) == 1:
                raise ConnectionRefusedError
            assert may_end.wait(60)

    action = Slow(config(timeout_seconds=0.2))
    with post(path, action) as opened:
        opened.desk.inform(DailySummary("wood", DAWN.date(), ()))
        assert left_behind.wait(60)
        may_end.set()
        opened.hear(0)
        opened.wait_for(["done"])
    assert len(told) == 2


def test_a_database_in_trouble_makes_nothing_be_done_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "TROUBLE_SECONDS", 0.02)
    said: list[str] = []
    monkeypatch.setattr(report.Report, "trouble", lambda _, error: said.append(str(error)))
    action = Notebook(config())
    with post(path, action) as opened:
        settle = opened.desk._outbox.settle

        def failing_settle(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(opened.desk._outbox, "settle", failing_settle)
        opened.hear(0, 10)
        wait_until(lambda: len(said) > 5)
        assert len(action.done) == 1
        monkeypatch.setattr(opened.desk._outbox, "settle", settle)
        opened.wait_for(["done", "done"])
    assert len(action.done) == 2


def test_one_that_hangs_does_not_keep_it_from_ending(path: Path) -> None:
    gate = threading.Event()

    def plan(_: Detection, __: int) -> None:
        gate.wait(60)

    action = Notebook(config(timeout_seconds=0.05), plan)
    with post(path, action) as opened:
        opened.hear(0)
        wait_until(lambda: opened.entries()[0].delivery.attempts == 1)
        opened.desk.stop(0.2)
        gate.set()


class Sealed(ActionConfig):
    token: SecretStr


def test_what_a_third_partys_error_and_notes_tell_of_its_secrets_is_not_written_down(path: Path) -> None:
    class Careless(Notebook):
        def run(self, detection: Detection, context: Context) -> None:
            context.note(asked="http://far/?key=swordfish \x1b[2J", times=1)
            raise GiveUp("http://far/?key=swordfish answers \x1b]0;owned\x07")

    action = Careless(Sealed(name="one", kind="test", on="ended", token=SecretStr("swordfish")))
    with post(path, action) as opened:
        opened.hear(0)
        opened.wait_for(["dead"])
        (entry,) = opened.entries()
    assert entry.delivery.error == "http://far/?key=*** answers \\x1b]0;owned\\x07"
    assert entry.notes == {"asked": "http://far/?key=*** \\x1b[2J", "times": 1}
