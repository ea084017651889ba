"""A stream's faults, in the whole daemon: what is not heard is in the ledger, to the second."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import structlog
from pydantic import SecretStr

from birdwatchd.audio.clock import SampleClock
from birdwatchd.audio.stream import Stream
from birdwatchd.config.schema import StreamSource
from tests.faults.station import BYSTANDER, Station, balance, elapsed, tell
from tests.integration import rtsp
from tests.integration.known import noise
from tests.integration.rtsp import RtspServer
from tests.integration.waiting import wait_until
from tests.ports import free_port
from tests.processes import lives

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg: apt-get install ffmpeg"),
    pytest.mark.long,
]
needs_rtsp = pytest.mark.skipif(bool(rtsp.missing()), reason=rtsp.missing())
needs_faketime = pytest.mark.skipif(
    shutil.which("faketime") is None, reason="no faketime: apt-get install faketime"
)

OUTAGE = 5.0
"""Seconds."""
POND = """\
  - name: pond
    kind: stream
    url: {url}
    stall_seconds: 2
"""


def child_of(station: Station, word: str) -> int:
    """The process id of its ffmpeg that has this word among its arguments."""
    fitting = [pid for pid in station.children() if word in Path(f"/proc/{pid}/cmdline").read_text()]
    assert len(fitting) == 1
    return fitting[0]


def harm(what: str, server: RtspServer, station: Station) -> None:
    """Do it, and undo it after a while, where that is needed."""
    if what == "server killed":
        server.kill()
        time.sleep(OUTAGE)
        server.start()
    elif what == "server frozen":
        server.freeze()
        time.sleep(OUTAGE)
        server.thaw()
    elif what == "ffmpeg killed":
        os.kill(child_of(station, server.url), signal.SIGKILL)
    else:
        os.kill(child_of(station, server.url), signal.SIGSTOP)


@needs_rtsp
@pytest.mark.parametrize(
    ("what", "causes"),
    [
        ("server killed", {"stream gone"}),
        # ffmpeg has the same patience as the daemon: whoever loses it first.
        ("server frozen", {"stream gone", "stalled"}),
        ("ffmpeg killed", {"stream gone"}),
        ("ffmpeg frozen", {"stalled"}),
    ],
)
def test_what_a_stream_misses_is_in_the_ledger_and_others_miss_nothing(
    tmp_path: Path, tiny_bundle: Path, what: str, causes: set[str]
) -> None:
    noise(tmp_path / "birds.wav", seconds=120)
    with (
        RtspServer(tmp_path / "birds.wav") as server,
        Station(tmp_path, tiny_bundle, POND.format(url=server.url) + BYSTANDER) as station,
    ):
        station.start()
        running = elapsed()
        station.wait_for("stream open", source="pond")
        connecting = running()
        time.sleep(3)
        away = elapsed()
        harm(what, server, station)
        station.wait_for("stream back", source="pond")
        lost = away()
        time.sleep(3)
        truth = running()
        station.stop()
        pond, bystander = station.ledger()["pond"], station.ledger()["bystander"]
    tell(f"{what}: {truth:.2f} s by the stopwatch, away for {lost:.2f}", pond=pond, bystander=bystander)
    assert pond.lost["connecting"] == pytest.approx(connecting, abs=1.0), pond
    (cause,) = pond.causes.keys() - {"connecting"}
    assert cause in causes
    assert pond.lost[cause] == pytest.approx(lost, abs=1.5), pond
    assert pond.expected == pytest.approx(truth, abs=1.5), pond
    assert pond.expected == pytest.approx(pond.captured + sum(pond.lost.values()), abs=0.01)
    assert set(bystander.causes) <= {"connecting"}, bystander
    assert bystander.expected == pytest.approx(truth, abs=1.5), bystander


def test_an_ffmpeg_that_hangs_and_ignores_sigterm_is_replaced(tmp_path: Path, tiny_bundle: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    fake = folder / "ffmpeg"
    fake.write_text(f"#!{sys.executable}\n" + Path(__file__).with_name("ffmpeg_that_hangs.py").read_text())
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    with Station(tmp_path, tiny_bundle, POND.format(url="told"), environment) as station:
        station.start()
        running = elapsed()
        station.wait_for("stream open")
        (first,) = station.children()
        station.wait_for("stream back")
        (second,) = station.children()
        wait_until(lambda: station.children() and second not in station.children(), "it is replaced again")
        truth = running()
        station.stop()
        assert not lives(first)
        assert not lives(second)
        pond = station.ledger()["pond"]
    tell(f"ffmpeg hangs: {truth:.2f} s by the stopwatch", pond=pond)
    assert pond.causes.keys() - {"connecting"} == {"stalled"}, (
        pond
    )  # it connects too fast to be counted, at times
    assert pond.captured == pytest.approx(4.0, abs=2.0), pond  # two seconds of each
    assert pond.expected == pytest.approx(truth, abs=2.5), pond


def test_a_server_that_lets_in_and_never_says_a_word_is_left_again_and_again(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    """A camera whose sound has died: its stream can be opened as ever."""
    with (
        mute_server() as (url, callers),
        Station(tmp_path, tiny_bundle, POND.format(url=url) + BYSTANDER) as station,
    ):
        station.start()
        running = elapsed()
        wait_until(lambda: len(callers) >= 3, "it calls again")
        truth = running()
        station.stop()
        pond, bystander = station.ledger()["pond"], station.ledger()["bystander"]
    tell(f"mute server: {truth:.2f} s by the stopwatch", pond=pond, bystander=bystander)
    assert pond.captured == 0
    assert sum(pond.lost.values()) == pytest.approx(truth, abs=1.5), pond
    assert set(pond.causes) <= {"connecting", "stream gone", "stalled"}
    assert set(bystander.causes) <= {"connecting"}, bystander


@contextlib.contextmanager
def mute_server() -> Iterator[tuple[str, list[socket.socket]]]:
    """It takes every call, and is silent."""
    callers: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with contextlib.suppress(OSError):  # it was closed
                while True:
                    callers.append(server.accept()[0])

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}", callers
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for caller in callers:
            caller.close()


FASTER = 60
"""An hour in a minute: the clocks of the stream and of its ffmpeg run so much faster."""
SERVER = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        caller, _ = server.accept()
        try:
            while True:
                caller.sendall(b"\\x40\\x00" * 8000)
        except OSError:
            caller.close()
"""


def fast_monotonic() -> float:
    return time.monotonic() * FASTER


class FastEvent(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout / FASTER)


@contextlib.contextmanager
def serving(port: int) -> Iterator[None]:
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(port)])
    try:
        wait_until(lambda: answers(port), "the server starts")
        yield
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@needs_faketime
def test_a_server_that_is_gone_for_an_hour_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own waits do not go by libfaketime's clock, so here only ffmpeg does, and the stream is told."""
    wrapper = tmp_path / "ffmpeg"
    wrapper.write_text(f'#!/bin/sh\nexec faketime -f "+0 x{FASTER}" {shutil.which("ffmpeg")} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    fast = SimpleNamespace(monotonic=fast_monotonic)
    monkeypatch.setattr("birdwatchd.audio.stream.time", fast)
    monkeypatch.setattr("birdwatchd.audio.intake.time", fast)
    monkeypatch.setattr("birdwatchd.audio.intake.elapsed", fast_monotonic)
    clock = functools.partial(SampleClock, monotonic=fast_monotonic, wall=lambda: 1e9 + fast_monotonic())
    monkeypatch.setattr("birdwatchd.audio.stream.SampleClock", clock)
    port = free_port()
    stream = Stream(
        StreamSource(
            kind="stream",
            name="pond",
            url=SecretStr(f"tcp://127.0.0.1:{port}"),
            sample_rate=8000,
            stall_seconds=30,
            ffmpeg_options=("-re", "-f", "s16le", "-ar", "8000", "-ac", "1"),
        ),
        ring_seconds=600,
        wake=lambda: None,
    )
    stream._stopping = FastEvent()
    running = elapsed(fast_monotonic)
    with structlog.testing.capture_logs() as said, serving(port):
        stream.start()
        wait_for_sound(stream, 300)
    with structlog.testing.capture_logs() as log:
        # What was under way arrives, and is heard; then there is nothing more.
        wait_until(lambda: "stream gone" in stream.fault, "the fault is told")
        away = elapsed(fast_monotonic)
        time.sleep(3600 / FASTER)
        with serving(port):
            before = stream.ring.written
            wait_until(lambda: stream.ring.written > before, "it is back")
            lost = away()
            wait_for_sound(stream, 300)
            stream.stop()
            truth = running()
    pond = balance(stream)
    assert [event["event"] for event in said] == ["stream open"]
    tell(f"gone for an hour: {truth:.0f} s by the stopwatch, away for {lost:.0f}", pond=pond)
    assert lost > 3600
    assert pond.lost["stream gone"] == pytest.approx(lost, abs=90), pond  # a second of ours is a minute
    assert pond.expected == pytest.approx(truth, abs=90), pond
    assert pond.captured == pytest.approx(truth - lost, abs=120), pond
    events = [event["event"] for event in log]
    assert events.count("stream back") == 1
    assert len(events) <= 6, log  # sixty attempts, and the log is not full of them


def wait_for_sound(stream: Stream, seconds: float) -> None:
    wanted = stream.ring.written + round(seconds * stream.ring.sample_rate)
    wait_until(lambda: stream.ring.written >= wanted and not stream.fault, "sound arrives")
