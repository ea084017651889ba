"""Calls that never return."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.audio.deadline import Deadline
from birdwatchd.errors import DeviceStuck

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Patience with a call counts from when this is set: on a busy machine its thread may be slow to begin."""
    begun = threading.Event()

    class Begun(Future[Any]):
        def result(self, timeout: float | None = None) -> Any:
            assert begun.wait(60)
            return super().result(timeout)

    monkeypatch.setattr("birdwatchd.audio.deadline.Future", Begun)
    return begun


def test_a_call_gives_what_it_gives() -> None:
    deadline = Deadline(60)
    assert deadline.call(lambda: 42) == 42
    with pytest.raises(ValueError, match="nothing"):
        deadline.call(lambda: int("nothing"))
    assert not deadline.stuck


def test_a_stuck_call_is_left_behind_and_no_other_is_tried_until_it_returns(begun: threading.Event) -> None:
    deadline = Deadline(0.05)
    release, tried = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        release.wait()

    with pytest.raises(DeviceStuck, match=r"not answered for 0\.05 s"):
        deadline.call(hang)
    was_stuck = deadline.stuck
    assert was_stuck
    with pytest.raises(DeviceStuck):
        deadline.call(tried.set)
    assert not tried.is_set()
    release.set()
    with deadline._turn:  # the stuck call has it until it returns
        pass
    assert not deadline.stuck
    assert not tried.is_set()


def test_a_call_whose_turn_never_came_is_never_made() -> None:
    deadline = Deadline(0.05)
    made = threading.Event()
    deadline._turn.acquire()
    with pytest.raises(DeviceStuck):
        deadline.call(made.set)
    deadline._turn.release()
    assert not deadline.stuck
    deadline.seconds = 60
    deadline.call(lambda: None)
    assert not made.is_set()


def test_a_stuck_call_that_silenced_stderr_does_not_keep_it(tmp_path: Path, begun: threading.Event) -> None:
    before = os.fstat(2).st_ino
    release = threading.Event()

    def silence() -> None:
        with (tmp_path / "nowhere").open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        begun.set()
        release.wait()

    with pytest.raises(DeviceStuck):
        Deadline(0.2).call(silence)
    assert os.fstat(2).st_ino == before
    release.set()
