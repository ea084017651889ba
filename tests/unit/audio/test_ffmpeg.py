"""How ffmpeg is called, what it says, and how it ends."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from birdwatchd.audio import ffmpeg
from birdwatchd.audio.ffmpeg import Ffmpeg, command
from birdwatchd.config.schema import StreamSource
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Put a shell script in ffmpeg's place."""

    def write(text: str) -> None:
        path = tmp_path / "ffmpeg"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    ffmpeg._rtsp_timeout_option.cache_clear()
    yield write
    ffmpeg._rtsp_timeout_option.cache_clear()


def arguments(url: str, **settings: Any) -> str:
    return " ".join(command(StreamSource(kind="stream", name="far", url=SecretStr(url), **settings))[0])


@pytest.mark.parametrize(
    ("listing", "option"),
    [("  -timeout <int64> socket I/O", "-timeout"), ("  -timeout listen\n  -stimeout <int>", "-stimeout")],
)
def test_rtsp_goes_over_tcp_with_the_time_limit_of_this_ffmpeg(
    script: Callable[[str], None], listing: str, option: str
) -> None:
    script(f"echo '{listing}'")
    called = arguments("rtsp://cam/1", stall_seconds=3, ffmpeg_options=("-rtsp_transport", "udp"))
    assert f"-rtsp_transport tcp {option} 3000000 -rtsp_transport udp -i rtsp://cam/1 -vn" in called


@pytest.mark.parametrize("scheme", ["http", "https", "tcp", "rtmp"])
def test_other_connections_have_a_time_limit_too(scheme: str) -> None:
    assert f"-rw_timeout 10000000 -i {scheme}://far/x" in arguments(f"{scheme}://far/x")


@pytest.mark.parametrize(
    "url", ["udp://239.0.0.1:5004", "srt://far:9000", "sounds/sound.wav", "sine=frequency=1000"]
)
def test_what_knows_no_time_limit_gets_none(url: str) -> None:
    assert "timeout" not in arguments(url)


def test_rate_and_channel_are_asked_for() -> None:
    assert arguments("x").endswith("-vn -ac 1 -ar 48000 -f s16le -")
    assert "-af channelmap=map=1:channel_layout=mono -ar 24000" in arguments(
        "x", channel=2, sample_rate=24000
    )


def test_its_last_words_are_heard_when_its_sound_has_ended(script: Callable[[str], None]) -> None:
    script("exec >&-; sleep 0.1; echo 'Connection refused' >&2")
    with Ffmpeg(["ffmpeg"]) as child:
        while child.read(0.1) != b"":
            pass
        assert list(child.complaints) == ["Connection refused"]


def test_sound_and_complaints_come_apart(script: Callable[[str], None]) -> None:
    script("printf abc; echo 'trouble @ one' >&2; printf '[tcp @ 0x55aa] no\\nunfinished' >&2; sleep 60")
    sound = b""
    with Ffmpeg(["ffmpeg"]) as child:
        while len(sound) < 3 or len(child.complaints) < 2:
            sound += child.read(0.1) or b""
        assert child.read(0.01) is None
    assert sound == b"abc"
    assert list(child.complaints) == ["trouble @ one", "[tcp] no"]


def test_the_end_is_an_empty_piece(script: Callable[[str], None]) -> None:
    script("printf ab")
    with Ffmpeg(["ffmpeg"]) as child:
        pieces = []
        while b"" not in pieces:
            pieces.append(child.read(0.1))
    assert [piece for piece in pieces if piece] == [b"ab"]


def test_one_that_will_not_end_is_killed_with_its_children(
    script: Callable[[str], None], tmp_path: Path
) -> None:
    # The inner one says that it is there after it has decided to ignore the signal.
    inner = "trap '' TERM; echo there; while :; do sleep 0.1; done"
    script(f'trap "" TERM; sh -c "{inner}" & echo $! > {tmp_path}/pid; wait; wait')
    with Ffmpeg(["ffmpeg"]) as child:
        while child.read(0.1) != b"there\n":
            pass
    process = Path("/proc", (tmp_path / "pid").read_text().strip(), "stat")
    # What has not been collected yet by its foster parent is a zombie.
    wait_until(
        lambda: not process.is_file() or process.read_text().rpartition(")")[2].split()[0] in "ZX",
        "the inner one is gone too",
    )
