"""Posting: the deliveries of a detection, made in the very transaction that writes it down."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from birdwatchd.store import deliveries, tally

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime, tzinfo

    from birdwatchd.domain import Detection, Tally
    from birdwatchd.store.deliveries import Order


class Router(Protocol):
    """Says which actions a detection sets off."""

    def route(self, detection: Detection, tally: Tally) -> Sequence[Order]:
        """The deliveries that are to be made of it."""

    def settle(self, *, kept: bool) -> None:
        """What was routed since the last call was committed, or else it never happened."""

    def move(self, before: datetime, seconds: float) -> None:
        """The clock was set, when it said `before`: what is remembered keeps its distance."""


class Posting:
    """Asks the router, and writes what it says. For one thread at a time, the recorder's."""

    def __init__(self, router: Router, zone: tzinfo, wake: Callable[[set[str]], None]) -> None:
        """`wake` is told after each commit which actions have something new; it must be quick."""
        self._asked = router, zone
        self._wake = wake

    def ask(self, router: Router, zone: tzinfo) -> None:
        """From the next transaction on, ask this one."""
        self._asked = router, zone

    def move(self, before: datetime, seconds: float) -> None:
        """The clock was set."""
        router, _ = self._asked
        router.move(before, seconds)

    @contextmanager
    def making(self, now: datetime) -> Iterator[Callable[[sqlite3.Connection, Iterable[Detection]], None]]:
        """Around a transaction: gives what posts detections that were written in it."""
        actions: set[str] = set()
        router, zone = self._asked

        def post(connection: sqlite3.Connection, written: Iterable[Detection]) -> None:
            for detection in written:
                standing = tally.count(connection, detection, zone)
                orders = router.route(detection, standing)
                if detection.state == "ended":
                    actions.update(deliveries.end(connection, detection))
                actions.update(deliveries.add(connection, detection, standing, orders, now=now))

        try:
            yield post
        except BaseException:
            router.settle(kept=False)
            raise
        router.settle(kept=True)
        if actions:
            self._wake(actions)
