"""Reloads come one after the other, and the end waits for the last."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from birdwatchd.service.reloading import REFUSED, Reloading
from birdwatchd.service.signals import Asked
from birdwatchd.service.supervision import Supervision
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


class Told(Supervision):
    """What systemd would be told."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def reloading(self) -> None:
        self.said.append("reloading")

    def reloaded(self, remark: str = "") -> None:
        self.said.append(f"reloaded {remark}".strip())


class Slow:
    """A reload that takes as long as a test wants."""

    def __init__(self) -> None:
        self.begun, self.done = 0, 0
        self.may_end = threading.Event()

    def __call__(self, _goes_on: Callable[[], bool]) -> bool:
        self.begun += 1
        self.may_end.wait(30)
        self.done += 1
        return self.done > 1


def turned(reloading: Reloading, condition: Callable[[], bool]) -> Callable[[], bool]:
    def turn() -> bool:
        reloading.turn()
        return condition()

    return turn


def test_what_is_asked_for_during_a_reload_is_done_after_it() -> None:
    asked, told, slow = Asked(), Told(), Slow()
    reloading = Reloading(asked, told, slow)
    reloading.turn()
    assert told.said == []
    asked.reload = True
    wait_until(turned(reloading, lambda: slow.begun == 1), "it begins")
    asked.reload = True
    asked.reload = True
    reloading.turn()
    assert (slow.begun, told.said) == (1, ["reloading"])
    slow.may_end.set()
    wait_until(turned(reloading, lambda: len(told.said) == 4), "both are done")
    assert slow.done == 2
    assert told.said == ["reloading", f"reloaded {REFUSED}", "reloading", "reloaded"]


def test_the_end_waits_for_a_reload_and_has_it_begin_nothing_more() -> None:
    asked, done = Asked(), list[bool]()

    def until_it_is_over(goes_on: Callable[[], bool]) -> bool:
        assert goes_on()
        wait_until(lambda: not goes_on(), "the daemon ends")
        done.append(True)
        return True

    reloading = Reloading(asked, Told(), until_it_is_over)
    asked.reload = True
    reloading.turn()
    reloading.finish()
    assert done == [True]
