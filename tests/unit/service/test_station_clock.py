"""The time as the daemon's parts are told it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from birdwatchd.service.station_clock import AGAIN_SECONDS, StationClock

if TYPE_CHECKING:
    from collections.abc import Callable

YEAR = 366 * 86400.0


class Machine:
    """A machine whose clock can be set."""

    def __init__(self) -> None:
        self.elapsed = 100.0
        self.offset = 1.8e9
        self.clock = StationClock(monotonic=lambda: self.elapsed, wall=lambda: self.elapsed + self.offset)
        self.taken: list[tuple[datetime, float]] = []

    def now(self) -> float:
        return self.clock.now().timestamp()

    def take_in(self, before: datetime, seconds: float, adopt: Callable[[], None]) -> None:
        self.taken.append((before, seconds))
        assert self.clock.now() == before  # nobody is told of the new time yet
        adopt()


def test_it_goes_on_as_before_until_all_times_are_moved() -> None:
    machine = Machine()
    machine.elapsed += 60
    assert machine.now() == 1.8e9 + 160
    machine.offset += YEAR
    assert machine.now() == 1.8e9 + 160
    machine.clock.turn(machine.take_in)
    assert machine.taken == [(datetime.fromtimestamp(1.8e9 + 160, UTC), YEAR)]
    assert machine.now() == 1.8e9 + 160 + YEAR
    machine.clock.turn(machine.take_in)
    assert len(machine.taken) == 1


def test_little_is_no_step() -> None:
    machine = Machine()
    machine.offset += 0.4
    machine.clock.turn(machine.take_in)
    assert machine.taken == []
    machine.offset += 0.4  # but little and little is
    machine.clock.turn(machine.take_in)
    assert len(machine.taken) == 1


def test_where_times_cannot_be_moved_the_old_time_stays_and_it_tries_again() -> None:
    machine = Machine()
    machine.offset -= YEAR

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    with structlog.testing.capture_logs() as lines:
        machine.clock.turn(fail)
        machine.clock.turn(fail)
    assert len(lines) == 1
    assert machine.now() == 1.8e9 + 100
    machine.elapsed += AGAIN_SECONDS
    machine.clock.turn(machine.take_in)
    assert machine.now() == 1.8e9 + 100 + AGAIN_SECONDS - YEAR


def test_a_clock_of_1970_is_not_set() -> None:
    machine = Machine()
    assert machine.clock.is_set
    machine.clock = StationClock(monotonic=lambda: machine.elapsed, wall=lambda: machine.elapsed)
    assert not machine.clock.is_set


def test_a_clock_that_was_not_set_is_told_once_and_so_is_its_setting() -> None:
    machine = Machine()
    machine.offset = 0.0
    machine.clock = StationClock(
        monotonic=lambda: machine.elapsed, wall=lambda: machine.elapsed + machine.offset
    )
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            machine.clock.turn(machine.take_in)
        machine.offset = 1.8e9
        for _ in range(3):
            machine.clock.turn(machine.take_in)
    assert [line["log_level"] for line in lines] == ["warning", "info"]
    assert lines[0]["clock"].startswith("1970-01-01T00:01:40")
