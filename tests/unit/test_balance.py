from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from birdwatchd.balance import Balance, balance_of, show_share, total
from tests.rows import entry

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("expected", "captured", "shown"),
    [
        (3600, 3600, "100 %"),
        (3600, 3599.8, "100 %"),
        (3600, 3599, "99.9 %"),
        (86400 * 365, 86400 * 365 - 2, "99.9 %"),
        (3600, 3601, "100 %"),
        (3600, 0, "0.0 %"),
        (0, 0, "-"),
    ],
)
def test_a_hundred_is_said_of_nothing_that_has_a_hole(expected: float, captured: float, shown: str) -> None:
    assert show_share(Balance(expected=expected, captured=captured)) == shown


def test_hours_are_added_up_to_the_days_of_the_zone() -> None:
    hours = [entry(1.0, hour=datetime(2026, 5, 8, at, tzinfo=UTC)) for at in (20, 21, 22, 23)]
    balances = balance_of(hours, "day", BERLIN)
    assert {start.isoformat(): balance.captured for (start, _), balance in balances.items()} == {
        "2026-05-07T22:00:00+00:00": 2.0,
        "2026-05-08T22:00:00+00:00": 2.0,
    }


def test_the_hour_that_comes_twice_in_autumn_is_two_hours() -> None:
    hours = [entry(1.0, hour=datetime(2026, 10, 25, at, tzinfo=UTC)) for at in (0, 1)]  # both 02:00 in Berlin
    assert len(balance_of(hours, "hour", BERLIN)) == 2


def test_the_total_keeps_causes_apart() -> None:
    rows = [
        entry(1.0, "lost", "a"),
        entry(2.0, "lost", "b"),
        entry(4.0, "lost", "a", hours=1),
        entry(8.0, "expected"),
    ]
    every = total(balance_of(rows, "hour", None).values())
    assert (dict(every.lost), every.expected) == ({"a": 5.0, "b": 2.0}, 8.0)


def test_a_loss_that_was_taken_back_is_none() -> None:
    rows = [
        entry(0.1, "lost", "not heard"),
        entry(0.2, "lost", "not heard"),
        entry(-0.3, "lost", "not heard"),
    ]
    (balance,) = balance_of(rows, "hour", None).values()
    assert balance.lost == {}
