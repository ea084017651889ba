from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatchd.config.species import matches
from birdwatchd.domain import Label

TIT = Label(0, "Parus major", "Kohlmeise")
THRUSH = Label(1, "Turdus pilaris", "Wacholderdrossel (Größe)")


@pytest.mark.parametrize(
    "pattern",
    [
        "Parus major",
        "parus MAJOR",
        " Kohlmeise ",
        "Parus *",
        "*meise",
        "P*s m*r",
        "*",
        "**",
        "Parus major_Kohlmeise",
    ],
)
def test_it_is_meant(pattern: str) -> None:
    assert matches(pattern, TIT)


@pytest.mark.parametrize(
    "pattern", ["Parus", "", "meise", "Parus ?ajor", "Parus majo[r]", "*x*", "Parus major*r", "ab*a", "P*e"]
)
def test_it_is_not_meant(pattern: str) -> None:
    assert not matches(pattern, TIT)


def test_the_two_ends_of_a_pattern_do_not_overlap() -> None:
    assert not matches("Parus major*or", TIT)
    assert not matches("aba*ba", Label(0, "aba", "aba"))
    assert matches("aba*", Label(0, "aba", "aba"))


def test_an_umlaut_is_one_however_it_is_written() -> None:
    decomposed = "*(Gro\N{COMBINING DIAERESIS}ße)"
    assert matches(decomposed, THRUSH)
    assert matches("*grösse)", THRUSH)


@given(st.text(alphabet="ab*", max_size=10), st.text(alphabet="ab", max_size=10))
def test_as_a_regular_expression_would(pattern: str, name: str) -> None:
    import re

    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None
    assert matches(pattern, Label(0, name, "?")) is expected


def test_many_stars_end() -> None:
    began = time.process_time()
    assert not matches("*a" * 500 + "*b", Label(0, "a" * 5000, "a" * 5000))
    assert (
        time.process_time() - began < 60
    )  # a backtracking matcher would take longer than the universe is old
