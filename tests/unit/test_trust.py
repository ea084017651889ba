"""The system clock judged: whether it was set, and what a step of it says of the time before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatchd.trust import EARLIEST, ClockChange, ClockStep, Trust, elapsed

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2027, 5, 9, 4, 42, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
HOUR, DAY = 3600.0, 86400.0
YEAR = 366 * DAY
RATE = 1000


def step(index: int, before: datetime, seconds: float, age: float) -> ClockStep:
    return ClockStep(index, before, seconds, age)


def set_to(index: int, before: datetime, after: datetime, age: float) -> ClockStep:
    return ClockStep(index, before, (after - before).total_seconds(), age)


@pytest.mark.parametrize(
    ("moment", "last_seen", "hours", "expected"),
    [
        (EPOCH, None, 0, False),
        (EPOCH, NOW, 1000, False),  # 1970 never becomes right
        (EARLIEST, None, 0, True),
        (NOW, NOW, 0, True),
        (NOW - timedelta(hours=23), NOW, 0, True),  # the time of the last shutdown: it may be right
        (NOW - timedelta(days=40), NOW, 0, False),
        (
            NOW - timedelta(days=40),
            NOW,
            25,
            True,
        ),  # nobody corrected it: it was the database that saw a wrong time
        (NOW + timedelta(days=400), NOW, 0, True),
    ],
)
def test_a_clock_was_set_when_it_can_be_that_time(
    moment: datetime, last_seen: datetime | None, hours: float, *, expected: bool
) -> None:
    monotonic = 0.0
    trust = Trust(last_seen, monotonic=lambda: monotonic)
    monotonic = hours * HOUR
    assert trust.is_set(moment) is expected


CASES: list[tuple[str, Sequence[ClockStep], int | None]] = [
    ("1970, set after minutes", [set_to(500, EPOCH, NOW, 300)], 0),
    ("1970, set after three days", [set_to(500, EPOCH + timedelta(days=3), NOW, 3 * DAY)], 0),
    ("last shutdown, set after minutes", [step(500, NOW, 10 * HOUR, 300)], 0),
    ("set back after minutes", [step(500, NOW, -10 * HOUR, 300)], 0),
    ("after two months, by a second", [step(500, NOW, -1, 60 * DAY)], None),
    ("after two months, by a year", [step(500, NOW, YEAR, 60 * DAY)], None),
    ("set to 1970", [step(500, NOW, -57 * YEAR, 300)], None),
    ("by what it may have drifted", [step(500, NOW, 0.7, 3000)], None),
    (
        "a year ahead after two months, and back: what was said in between was wrong",
        [step(500, NOW, YEAR, 60 * DAY), step(900, NOW + timedelta(seconds=YEAR), -YEAR, 600)],
        500,
    ),
    (
        "ahead soon, and back: all of it moves twice",
        [step(500, NOW, YEAR, 300), step(900, NOW + timedelta(seconds=YEAR), -YEAR, 600)],
        0,
    ),
    (
        "to 1970 and back: only what was said in 1970 was wrong",
        [set_to(500, NOW, EPOCH, 60 * DAY), set_to(900, EPOCH, NOW, 600)],
        500,
    ),
    (
        "set after minutes, and once more after days",
        [step(500, NOW, HOUR, 300), step(900, NOW, 60, 3 * DAY)],
        None,
    ),
]


def test_what_was_heard_before_the_oldest_setting_that_is_known_stays() -> None:
    known = replace(step(500, NOW, HOUR, 300), number=7), step(900, NOW, HOUR, 300)
    assert Trust().wrong_from(known) == 500
    assert Trust().wrong_from(known[:1]) is None


@pytest.mark.parametrize(("steps", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_a_step_shows_to_be_wrong(steps: Sequence[ClockStep], expected: int | None) -> None:
    assert Trust().wrong_from(steps) == expected


def test_a_clock_behind_the_database_was_wrong_however_long_the_step_took() -> None:
    trust = Trust(NOW)
    assert trust.wrong_from([set_to(500, NOW - timedelta(days=300), NOW, 23 * HOUR)]) == 0


@given(seconds=st.one_of(st.floats(-1e9, -2), st.floats(2, 1e9)), beyond=st.floats(-1e5, 50))
def test_old_dates_are_put_right_and_new_ones_stay(seconds: float, beyond: float) -> None:
    at = ClockStep(200_000_000, NOW, seconds, 60)
    change = ClockChange("garden", RATE, at, 0)
    sample = at.index + round(beyond * RATE)
    new = NOW + timedelta(seconds=seconds + (sample - at.index) / RATE)
    old = NOW + timedelta(seconds=(sample - at.index) / RATE)
    # A window that began before the step dates all that is in it.
    assert change.put_right(sample, old) == pytest.approx(new, abs=timedelta(milliseconds=1))
    if beyond >= 0:
        assert change.put_right(sample, new) == new


def test_what_comes_twice_is_known() -> None:
    back = ClockChange("garden", RATE, ClockStep(5000, NOW, -HOUR, 60 * DAY), None)
    assert not back.is_repeated(4000, NOW - timedelta(seconds=1))
    assert back.is_repeated(6000, NOW - timedelta(seconds=HOUR - 1))
    assert not back.is_repeated(5000 + 4000 * RATE, NOW + timedelta(seconds=400))
    ahead = ClockChange("garden", RATE, ClockStep(5000, NOW, HOUR, 60 * DAY), None)
    assert not ahead.is_repeated(6000, NOW + timedelta(seconds=HOUR + 1))


def test_elapsed_seconds_never_run_backwards() -> None:
    first = elapsed()
    assert elapsed() >= first
