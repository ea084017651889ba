"""Actions are exchanged while others work on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from birdwatchd.actions.command import Command
from tests.acting import Notebook, Post, config, post, surroundings, wait_until
from tests.processes import lives

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.actions import Action
    from birdwatchd.domain import Detection


def exchange(station: Post, *actions: Action) -> None:
    around = surroundings()
    station.desk.route(actions, around)
    station.desk.employ(actions, around)


def test_an_action_that_stays_is_not_disturbed_and_one_that_goes_does_what_is_due(tmp_path: Path) -> None:
    stays, goes, comes = (Notebook(config(name)) for name in ("stays", "goes", "comes"))
    with post(tmp_path / "birds.sqlite", stays, goes) as station:
        first = station.hear(1)
        wait_until(lambda: stays.done == first and goes.done == first)
        exchange(station, stays, comes)
        wait_until(lambda: goes.left == 1)
        second = station.hear(60)
        wait_until(lambda: stays.done == first + second and comes.done == second)
        assert goes.done == first
        assert (stays.entered, stays.left) == (1, 0)
        assert [action.config.name for action in station.desk.actions] == ["stays", "comes"]
        wait_until(lambda: station.statuses() == ["done"] * 4)
    assert (stays.left, comes.left, goes.left) == (1, 1, 1)


def test_one_that_changed_begins_when_its_forerunner_has_ended(tmp_path: Path) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow(_detection: Detection, _attempt: int) -> None:
        begun.set()
        assert may_end.wait(60)

    before, after = Notebook(config(), slow), Notebook(config(cooldown_seconds=5))
    with post(tmp_path / "birds.sqlite", before) as station:
        first = station.hear(1)
        assert begun.wait(60)
        exchange(station, after)
        second = station.hear(60)
        # What is under way is not begun by another, and nothing overtakes it; what is due is still done by the first.
        assert not threading.Event().wait(1.2)
        assert (after.entered, after.asked) == (0, {})
        may_end.set()
        wait_until(lambda: station.statuses() == ["done"] * 2)
        assert before.done + after.done == first + second
        wait_until(lambda: before.left == 1 and after.entered == 1)
        third = station.hear(120)
        wait_until(lambda: after.done[-1:] == third)


def test_a_cooldown_goes_on_where_the_action_before_it_began_it(tmp_path: Path) -> None:
    before, after = (Notebook(config(cooldown_seconds=300, timeout_seconds=n)) for n in (10, 20))
    with post(tmp_path / "birds.sqlite", before) as station:
        (first,) = station.hear(1)
        wait_until(lambda: before.done == [first])
        exchange(station, after)
        station.hear(60)  # too soon
        (third,) = station.hear(400)
        wait_until(lambda: after.done == [third])
        wait_until(lambda: station.statuses() == ["done"] * 2)


def test_what_waits_for_an_action_that_is_gone_waits_for_its_return(tmp_path: Path) -> None:
    def away(_detection: Detection, _attempt: int) -> None:
        raise ConnectionError("nobody there")

    before, after = Notebook(config(), away), Notebook(config())
    with post(tmp_path / "birds.sqlite", before) as station:
        first = station.hear(1)
        wait_until(lambda: bool(before.asked))
        exchange(station)
        wait_until(lambda: before.left == 1)
        assert station.statuses() == ["waiting"]
        exchange(station, after)
        wait_until(lambda: after.done == first)


def test_a_program_ends_with_the_desk_and_what_became_of_it_is_noted(tmp_path: Path) -> None:
    sleeps = f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; exec sleep 1000"
    settings = {"name": "one", "kind": "command", "on": "ended", "argv": ["sh", "-c", sleeps]}
    limits = {"timeout_seconds": 100, "max_age_seconds": 3600}
    action = Command(Command.Config.model_validate(settings | limits))
    with post(tmp_path / "birds.sqlite", action) as station:
        station.hear(1)
        wait_until((tmp_path / "pid").exists)
        station.desk.stop(1.0)
        wait_until(lambda: station.entries()[0].delivery.attempts == 1)
        assert station.statuses() == ["waiting"]
        assert "was ended, as birdwatchd was ending" in station.entries()[0].delivery.error
        assert not lives(int((tmp_path / "pid").read_text()))
