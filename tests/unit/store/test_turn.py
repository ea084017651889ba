from __future__ import annotations

import threading

from birdwatchd.store.turn import Turn
from tests.integration.waiting import wait_until


def test_whoever_waits_comes_before_the_one_who_just_had_it() -> None:
    turn, order = Turn(), []

    def wait() -> None:
        with turn:
            order.append("who waited")

    for _ in range(20):
        other = threading.Thread(target=wait)
        with turn:
            other.start()
            wait_until(turn._next.locked, "the other waits for it")
            order.append("who had it")
        with turn:
            order.append("who had it")
        other.join()
    assert order == ["who had it", "who waited", "who had it"] * 20


def test_its_holder_takes_it_again_and_lets_it_go_as_often() -> None:
    turn, found = Turn(), []

    def ask() -> None:
        if taken := turn.acquire(timeout=0.01):
            turn.release()
        found.append(taken)

    with turn:
        with turn:
            pass
        for _ in range(2):  # what was asked for in vain leaves nothing behind
            other = threading.Thread(target=ask)
            other.start()
            other.join()
    ask()
    assert found == [False, False, True]
