"""Addresses are told without their secrets, and so is what is wrong with them."""

from __future__ import annotations

import pytest

from birdwatchd.config.address import fault, redacted


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


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://cam/1",
        "rtsp://me:p@ss@cam:554/1?a=b@c",
        "RTSP://[::1]:8554/x@1",
        "https://far/x.mp3?token=abc#1",
        "udp://:1234",
        "srt://:9000?mode=listener",
        "rtmpt://far/live",
        "icecast://far/x",
        "hw:1",
        "/dev/stdin",
        "x://",
    ],
)
def test_what_may_be_heard_is_not_found_fault_with(url: str) -> None:
    assert fault(url) == ""


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rtps://me:secret@cam/1", "there is no rtps://; did you mean rtsp://?"),
        ("htps://far/x", "there is no htps://; did you mean https://?"),
        ("rtsp://me:secret@cam:80800/1", "its port must be a number of at most 65535"),
        ("rtsp://cam:port/1", "its port must be a number of at most 65535"),
        ("rtsp://me:secret@/1", "has no host; write rtsp://HOST/PATH"),
        ("http://[broken", "the host in [ ] is no IPv6 address; write http://[::1]/PATH"),
        *(
            (
                url,
                "its user or password has a `/`, `?` or `#` in it, which ends it; write %2F, %3F or %23 instead",
            )
            for url in ("rtsp://me:sec/ret@cam/1", "rtsp://me:sec?ret@cam/1", "rtsp://me:s@c#ret@cam/1")
        ),
    ],
)
def test_what_is_wrong_with_an_address_is_told_without_its_secrets(url: str, said: str) -> None:
    assert fault(url) == said
