"""Streams from real servers through a real ffmpeg, healthy and otherwise."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import SecretStr

from birdwatchd.audio.stream import Stream
from birdwatchd.config.schema import StreamSource
from tests import processes
from tests.integration import rtsp
from tests.integration.known import RATE, heard, noise
from tests.integration.rtsp import RtspServer
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg: apt-get install ffmpeg")
needs_rtsp = pytest.mark.skipif(bool(rtsp.missing()), reason=rtsp.missing())


@contextlib.contextmanager
def listening(url: str, *, ring_seconds: float = 60.0, **settings: Any) -> Iterator[Stream]:
    stream = Stream(
        StreamSource(kind="stream", name="far", url=SecretStr(url), **settings),
        ring_seconds=ring_seconds,
        wake=lambda: None,
        shortest_pause_seconds=0.2,
        longest_pause_seconds=0.5,
    )
    stream.start()
    try:
        yield stream
    finally:
        stream.stop()
        assert children() == []


def children() -> list[int]:
    """The process ids of our own ffmpegs."""
    return processes.children(os.getpid(), "ffmpeg")


def sound(stream: Stream) -> NDArray[np.int16]:
    samples = stream.ring.read(stream.ring.oldest, stream.ring.written) * 32768
    return samples.astype(np.int16)


def wait_for_sound(stream: Stream, seconds: float = 0.5) -> None:
    wanted = stream.ring.written + round(seconds * RATE)
    wait_until(lambda: stream.ring.written >= wanted and not stream.fault, f"sound arrives ({stream.fault})")


class Served(http.server.SimpleHTTPRequestHandler):
    """Files of one folder; `slow.wav` gets stuck in its middle."""

    def log_message(self, *_: object) -> None: ...

    def copyfile(self, source: Any, outputfile: Any) -> None:
        with contextlib.suppress(ConnectionError):
            if "slow" not in self.path:
                super().copyfile(source, outputfile)
                return
            outputfile.write(source.read(44 + 2 * 8 * RATE))  # ffmpeg wants to see 5 s before it begins
            stuck.wait(60)


stuck = threading.Event()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of an HTTP server for the test's folder."""
    stuck.clear()

    def serve(*arguments: Any) -> Served:
        return Served(*arguments, directory=str(tmp_path))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://user:secret@127.0.0.1:{server.server_port}"
        stuck.set()
        server.shutdown()
        thread.join()


@needs_rtsp
@pytest.mark.parametrize("login", ["", "me:hushhush@"])
def test_rtsp_is_recorded_sample_for_sample(tmp_path: Path, login: str) -> None:
    played = noise(tmp_path / "birds.wav", seconds=3)
    with (
        RtspServer(tmp_path / "birds.wav") as server,
        listening(server.url.replace("//", f"//{login}")) as stream,
    ):
        wait_until(lambda: stream.ring.written >= len(played), "the whole file arrives")
        heard(sound(stream), played[:, 0])


@needs_rtsp
def test_nobody_reads_a_password_in_the_list_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise(tmp_path / "birds.wav", seconds=30)
    monkeypatch.setenv("MQTT_PASSWORD", "hushhush")
    with RtspServer(tmp_path / "birds.wav") as server:
        url = server.url.replace("//", "//me:hushhush@")
        with listening(url, ffmpeg_options=("-user_agent", "birds", "-headers", "X-Key: hushhush")) as stream:
            wait_for_sound(stream)
            (child,) = children()
            seen = Path(f"/proc/{child}/cmdline").read_bytes()
            assert b"concat" in seen
            assert b"hushhush" not in seen + Path(f"/proc/{child}/environ").read_bytes()


@needs_rtsp
def test_a_restarted_rtsp_server_leaves_a_gap_of_the_right_length(tmp_path: Path) -> None:
    noise(tmp_path / "birds.wav", seconds=60)
    with RtspServer(tmp_path / "birds.wav") as server, listening(server.url) as stream:
        lags: list[float] = []

        def lag() -> float:
            lags.append(time.monotonic() - stream.ring.written / RATE)
            return lags[-1]

        wait_for_sound(stream)
        wanted = stream.ring.written + RATE
        wait_until(lambda: lag() and stream.ring.written >= wanted, "a second of sound arrives")
        on_time = min(lags)  # some of it may have been held up
        server.kill()
        wait_until(lambda: stream.fault, "the fault is told")
        assert stream.fault.startswith("stream gone")
        away = stream.ring.written
        wait_until(lambda: "refused" in stream.fault, "ffmpeg's own words are told")
        server.start()
        wait_for_sound(stream, 1.0)
        _, gap = stream.ring.gaps
        assert (gap.index, gap.cause) == (away, "stream gone")

        missing = pytest.approx(gap.seconds, abs=0.5)
        wait_until(lambda: lag() - on_time == missing, f"what is missing was not captured: {gap.seconds}")
        dated = stream.clock.at(gap.index) - stream.clock.at(gap.index - 1)
        assert dated.total_seconds() == pytest.approx(gap.seconds, abs=0.001)


@needs_rtsp
def test_a_frozen_rtsp_server_is_left_and_found_again(tmp_path: Path) -> None:
    noise(tmp_path / "birds.wav", seconds=60)
    with (
        RtspServer(tmp_path / "birds.wav") as server,
        listening(server.url, stall_seconds=1.0) as stream,
    ):
        wait_for_sound(stream)
        server.freeze()
        before = len(stream.ring.gaps)
        wait_until(lambda: stream.fault, "the fault is told")
        server.thaw()
        wait_for_sound(stream)
        assert len(stream.ring.gaps) > before


def test_a_server_that_is_away_at_the_start_is_awaited(tmp_path: Path) -> None:
    if rtsp.missing():
        pytest.skip(rtsp.missing())
    noise(tmp_path / "birds.wav", seconds=60)
    server = RtspServer(tmp_path / "birds.wav")
    with listening(server.url) as stream:
        wait_until(lambda: "refused" in stream.fault, "the fault is told")
        with server:
            wait_for_sound(stream)
            (gap,) = stream.ring.gaps
            assert (gap.index, gap.cause) == (0, "stream gone")


@pytest.mark.parametrize("channel", [1, 2, "mix"])
def test_any_channel_of_a_file_behind_http_is_heard_again_and_again(
    tmp_path: Path, web: str, channel: int | str
) -> None:
    played = noise(tmp_path / "birds.wav", channels=2, seconds=0.3)
    wanted = played.mean(axis=1).astype(np.int16) if channel == "mix" else played[:, int(channel) - 1]
    with listening(f"{web}/birds.wav", channel=channel) as stream:
        wait_until(lambda: len(stream.ring.gaps) >= 3, "it is opened again")
        heard(sound(stream), np.concatenate([wanted, wanted]))
        assert [gap.index for gap in stream.ring.gaps[:3]] == [0, len(wanted), 2 * len(wanted)]


def test_a_channel_that_is_not_there_is_told(tmp_path: Path, web: str) -> None:
    noise(tmp_path / "birds.wav")
    with listening(f"{web}/birds.wav", channel=5) as stream:
        wait_until(lambda: "channel" in stream.fault, "ffmpeg's own words are told")
        assert stream.ring.written == 0


def test_a_missing_file_is_told_without_the_password(web: str) -> None:
    with listening(f"{web}/none.wav?token=1234") as stream:
        wait_until(lambda: "404" in stream.fault, "ffmpeg's own words are told")
        assert "secret" not in stream.fault
        assert "1234" not in stream.fault


def test_a_file_behind_http_never_overruns_the_ring(tmp_path: Path, web: str) -> None:
    noise(tmp_path / "birds.wav", seconds=20)
    began = time.monotonic()
    with listening(f"{web}/birds.wav", ring_seconds=4.0) as stream:
        written = 0
        while written < 5 * RATE:
            written = stream.ring.written
            # Half the ring at once, and at most as much again of what came along with it.
            assert written / RATE <= time.monotonic() - began + 4.0
            time.sleep(0.02)


def test_a_stream_that_falls_silent_is_ended_by_the_stall_timer(tmp_path: Path, web: str) -> None:
    noise(tmp_path / "slow.wav", seconds=10)
    options = ("-rw_timeout", "60000000")  # microseconds: ffmpeg itself would wait for a minute
    with listening(f"{web}/slow.wav", stall_seconds=1.0, ffmpeg_options=options) as stream:
        wait_until(lambda: stream.fault.startswith("stalled"), "the stall is told")
        wait_until(lambda: len(stream.ring.gaps) > 1, "it is opened again")
        assert stream.ring.gaps[1].cause == "stalled"


def test_a_frozen_ffmpeg_is_killed_and_replaced() -> None:
    with listening(
        "sine=sample_rate=48000", stall_seconds=1.0, ffmpeg_options=("-re", "-f", "lavfi")
    ) as stream:
        wait_for_sound(stream)
        wait_until(children, "an ffmpeg listens")
        (child,) = children()
        before = len(stream.ring.gaps)
        os.kill(child, signal.SIGSTOP)
        wait_until(lambda: len(stream.ring.gaps) > before, "another one takes over")
        assert child not in children()
        wait_for_sound(stream)
        assert stream.ring.gaps[before].cause == "stalled"
