from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import SupportsFloat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatchd.store.cells import from_text, to_real, to_text

moments = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(9998, 1, 1),  # noqa: DTZ001
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@given(moments)
def test_a_time_comes_back_to_the_microsecond(moment: datetime) -> None:
    assert from_text(to_text(moment)) == moment


@given(moments, moments)
def test_text_sorts_as_time_does(one: datetime, other: datetime) -> None:
    assert (to_text(one) < to_text(other)) == (one < other)


def test_a_person_can_read_it() -> None:
    assert to_text(datetime(2026, 5, 9, 5, 42, 0, 250000, tzinfo=UTC)) == "2026-05-09T05:42:00.250000Z"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        to_text(datetime(2026, 5, 9))  # noqa: DTZ001 - that is the point


def test_numbers_become_plain_ones() -> None:
    assert type(to_real(np.float32(0.5))) is float


@pytest.mark.parametrize("number", [float("nan"), float("inf"), np.float32("nan")])
def test_a_number_that_is_none_is_refused(number: SupportsFloat) -> None:
    with pytest.raises(ValueError, match="cannot be written down"):
        to_real(number)
