"""How the page says things."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from birdwatchd.web import words

BERLIN = words.Words(ZoneInfo("Europe/Berlin"))
NIGHT = datetime(2026, 4, 30, 22, 30, 5, 250000, tzinfo=UTC)


def test_times_are_those_of_the_sites_clock() -> None:
    assert BERLIN.clock(NIGHT) == "00:30:05"
    assert BERLIN.day(NIGHT) == "Fri 1 May 2026"
    assert BERLIN.when(NIGHT) == "Fri 1 May 2026, 00:30:05"
    assert BERLIN.iso(NIGHT) == "2026-05-01T00:30:05.250+02:00"
    assert BERLIN.day(date(2026, 5, 1)) == "Fri 1 May 2026"
    assert BERLIN.clock(None) == words.NOTHING


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.44, "0.4 s"),
        (9.96, "10.0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (92, "1 min 32 s"),
        (3599, "59 min"),
        (3600, "1 h"),
        (12000, "3 h 20 min"),
        (4 * 86400 + 7200, "4 d 2 h"),
        (None, words.NOTHING),
    ],
)
def test_lengths_have_two_units_at_most(seconds: float | None, said: str) -> None:
    assert words.span(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1.0 kB"),
        (31_300_000, "31.3 MB"),
        (123.4e9, "123 GB"),
        (5e15, "5000 TB"),
    ],
)
def test_sizes_have_their_unit(count: float, said: str) -> None:
    assert words.size(count) == said


def test_nearly_all_is_not_all() -> None:
    assert words.share(9999, 10000) == "99.9 %"
    assert words.share(10000, 10000) == "100 %"
    assert words.share(0.5) == "50.0 %"
    assert words.share(0, 0) == words.NOTHING
    assert (words.score(0.999), words.score(1.0), words.score(0.876)) == ("0.99", "1.00", "0.88")


def test_code_in_a_sentence_is_escaped() -> None:
    assert words.coded("a <b> `c <d>`") == "a &lt;b&gt; <code>c &lt;d&gt;</code>"


def test_numbers_can_be_read() -> None:
    assert words.count(1234567) == "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567"
    assert words.level(-43.4) == "\N{MINUS SIGN}43 dBFS"
    assert words.many(1, "detection") == "1 detection"
    assert words.many(0, "species", "species") == "0 species"
