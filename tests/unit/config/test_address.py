"""Addresses are told without their secrets."""

from __future__ import annotations

import pytest

from birdwatchd.config.address import redacted


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://me:pa55word@cam:554/1", "rtsp://***@cam:554/1"),
        ("http://far/x.mp3?token=abc&b=1", "http://far/x.mp3?***"),
        ("http://me:p@ss@far/x", "http://***@far/x"),
        ("http://far/x", "http://far/x"),
        ("http://[broken", "http://[broken"),
    ],
)
def test_secrets_are_not_shown(url: str, shown: str) -> None:
    assert redacted(f"{url}: Connection refused", url) == f"{shown}: Connection refused"


def test_a_password_is_not_shown_wherever_it_turns_up() -> None:
    url = "rtsp://me:p%40ssword@cam/1"
    assert redacted("login with 'p@ssword' or p%40ssword failed", url) == "login with '***' or *** failed"
    assert "x9" not in redacted("Opening 'http://other/y?key=x9' for reading", url)
