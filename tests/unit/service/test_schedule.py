"""What is due now and then is done, whatever became of it the last time."""

from __future__ import annotations

import threading

from birdwatchd.service.schedule import Schedule


def test_work_is_done_at_once_and_again_even_when_it_failed() -> None:
    done = threading.Semaphore(0)

    def work() -> None:
        done.release()
        raise ValueError("that did not work")

    schedule = Schedule()
    schedule.every(0.05, "work", work, at_once=True)
    with schedule:
        for _ in range(3):
            assert done.acquire(timeout=30)


def test_nothing_begins_once_it_is_left() -> None:
    begun = threading.Event()
    schedule = Schedule()
    schedule.every(3600, "work", begun.set)
    schedule.daily(3, 30, "more work", begun.set)
    with schedule:
        pass
    assert not begun.is_set()
