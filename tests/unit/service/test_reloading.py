"""Reloads come one after the other, and the end waits for the last."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from birdwatchd.service.reloading import REFUSED, Reloading
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

    def __call__(self) -> bool:
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
    asked, told, slow = threading.Event(), Told(), Slow()
    reloading = Reloading(asked, told, slow)
    reloading.turn()
    assert told.said == []
    asked.set()
    wait_until(turned(reloading, lambda: slow.begun == 1), "it begins")
    asked.set()
    asked.set()
    reloading.turn()
    assert (slow.begun, told.said) == (1, ["reloading"])
    slow.may_end.set()
    wait_until(turned(reloading, lambda: len(told.said) == 4), "both are done")
    assert slow.done == 2
    assert told.said == ["reloading", f"reloaded {REFUSED}", "reloading", "reloaded"]


def test_the_end_waits_for_a_reload() -> None:
    asked, slow = threading.Event(), Slow()
    reloading = Reloading(asked, Told(), slow)
    asked.set()
    reloading.turn()
    threading.Timer(0.05, slow.may_end.set).start()
    reloading.finish()
    assert slow.done == 1
