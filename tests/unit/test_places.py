"""Places are left one by one, or all together in the reverse order of their coming."""

from __future__ import annotations

import threading

import pytest

from birdwatchd.errands import Ended
from birdwatchd.places import Places


def test_one_is_left_alone_and_the_rest_in_reverse() -> None:
    left: list[str] = []
    with Places() as places:
        for name in ("model", "garden", "pond"):
            places.take(name).callback(left.append, name)
        assert "garden" in places
        places.leave("garden")
        assert (left, "garden" in places) == (["garden"], False)
        places.leave("garden")  # there is none of that name any more
        places.take("garden").callback(left.append, "garden again")
    assert left == ["garden", "garden again", "pond", "model"]


def test_a_place_that_is_taken_is_refused() -> None:
    with Places() as places:
        places.take("garden")
        with pytest.raises(ValueError, match="garden has its place already"):
            places.take("garden")


def test_one_that_fails_keeps_no_other_from_being_left() -> None:
    left: list[str] = []

    def fail() -> None:
        raise RuntimeError("stuck")

    places = Places()
    places.take("model").callback(left.append, "model")
    places.take("garden").callback(fail)
    with pytest.raises(RuntimeError, match="stuck"):
        places.__exit__(None, None, None)
    assert left == ["model"]


def test_those_that_take_long_are_left_at_once() -> None:
    """None comes to an end before all have begun to."""
    together = threading.Barrier(3)
    with Places(at_once=True) as places:
        for name in ("garden", "pond", "wood"):
            places.take(name).callback(together.wait, 60)
    assert not together.broken


def test_one_of_those_left_at_once_that_fails_is_told_when_all_are_left() -> None:
    left: list[str] = []

    def fail() -> None:
        raise RuntimeError("stuck")

    places = Places(at_once=True)
    places.take("garden").callback(fail)
    places.take("pond").callback(left.append, "pond")
    with pytest.raises(RuntimeError, match="stuck"):
        places.__exit__(None, None, None)
    assert left == ["pond"]


def test_nothing_comes_after_the_end() -> None:
    with Places() as places:
        pass
    with pytest.raises(Ended):
        places.take("garden")
