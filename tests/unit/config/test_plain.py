"""Nothing that is shown can move the cursor, change colours, or write backwards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatchd.config.plain import is_plain_line, plain, plain_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("evil\u202egpj.exe", "evil\\u202egpj.exe"),
        ("a\rb\x00", "a\\rb\\x00"),
        ("caf\udce9.wav", "caf\\udce9.wav"),
        ("Großtrappe\tबुल\u200cबुल\n", "Großtrappe\tबुल\u200cबुल\n"),
    ],
)
def test_what_would_act_is_spelt_out_and_the_rest_is_as_it_was(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text(st.characters()))
def test_any_text_can_be_shown(text: str) -> None:
    shown = plain(text)
    shown.encode()
    assert not any(ord(sign) < 32 for sign in shown if sign not in "\t\n")
    assert plain(shown) == shown
    assert is_plain_line(plain_line(text))
    assert is_plain_line(shown) == (not set("\t\n") & set(shown))
