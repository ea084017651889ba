"""What ffmpeg is told on its command line, which everybody can read, and what on its standard input."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatchd.config import opening as module
from birdwatchd.config.opening import environment, opening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

URL = "rtsp://me:hushhush@cam/1"


@pytest.fixture(autouse=True)
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program in ffmpeg's place that says which one it is."""
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'ffmpeg version 5.1\nlibavformat    59. 27.100 / 59. 27.100'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    module._lists_take_options.cache_clear()
    yield program
    module._lists_take_options.cache_clear()


@pytest.mark.parametrize("url", ["rtsp://cam/1", "/dev/video0", "udp://239.0.0.1:5004?fifo_size=9", "a.wav"])
def test_what_is_no_secret_is_said_as_ever(url: str) -> None:
    assert opening(url, ["-a", "1"], ["-b", "2"]).words == ("-a", "1", "-b", "2", "-i", url)
    assert opening(url, [], []).given == b""


def test_a_secret_goes_where_nobody_sees_it() -> None:
    opened = opening(URL, ["-rtsp_transport", "tcp"], ["-re", "-v", "error", "-rtsp_transport", "udp"])
    assert "hushhush" not in " ".join(opened.words)
    assert opened.words[:3] == ("-re", "-v", "error")
    assert opened.words[-2:] == ("-i", "pipe:0")
    # The last of two options of one name wins there, too.
    assert opened.given.decode().splitlines() == [
        "ffconcat version 1.0",
        f"file '{URL}'",
        "option rtsp_transport 'tcp'",
        "option rtsp_transport 'udp'",
    ]


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://cam/x.mjpg?token=hushhush", ()),
        ("http://cam/x.mjpg", ("-headers", "Authorization: hushhush")),
        ("srt://cam:9000", ("-passphrase", "hushhush")),
    ],
)
def test_secrets_stand_in_more_than_one_place(url: str, options: tuple[str, ...]) -> None:
    opened = opening(url, [], options)
    assert "hushhush" not in " ".join(opened.words)
    assert b"hushhush" in opened.given


def test_a_list_that_a_stranger_sends_opens_no_file_of_this_machine() -> None:
    words = opening(URL, [], []).words
    allowed = words[words.index("-protocol_whitelist") + 1].split(",")
    assert "rtsp" in allowed
    assert not {"file", "subfile", "concat", "concatf", "unix", "cache"} & set(allowed)


@pytest.mark.parametrize(
    ("options", "why"), [(("-f", "mjpeg"), "-f"), (("-headers", "A: b\r\nC: d"), "line break")]
)
def test_what_a_list_cannot_say_is_said_openly_and_told(options: tuple[str, ...], why: str) -> None:
    opened = opening(URL, [], options)
    assert opened.words == (*options, "-i", URL)
    assert why in opened.exposed


def test_an_old_ffmpeg_knows_no_such_lists(ffmpeg: Path) -> None:
    ffmpeg.write_text("#!/bin/sh\necho 'libavformat    58. 76.100 / 58. 76.100'\n")
    opened = opening(URL, [], [])
    assert opened.words == ("-i", URL)
    assert "older than 5.0" in opened.exposed


@given(secret=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1))
def test_nothing_in_an_address_becomes_a_line_of_its_own(secret: str) -> None:
    opened = opening(f"http://me:x@cam/?{secret}", [], ["-user_agent", secret])
    assert opened.given.count(b"\n") == 3


def test_ffmpeg_gets_nothing_of_the_daemons_secrets() -> None:
    ours = {
        "PATH": "/bin",
        "https_proxy": "http://p",
        "PULSE_SERVER": "x",
        "MQTT_PASSWORD": "hush",
        "PATHX": "1",
    }
    assert environment(ours) == {"PATH": "/bin", "https_proxy": "http://p", "PULSE_SERVER": "x"}
