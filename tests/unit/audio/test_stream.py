"""The stream's own care: odd bytes, pauses, and a missing ffmpeg. Real servers are in tests/integration."""

from __future__ import annotations

import math
import stat
from typing import TYPE_CHECKING

import numpy as np
import pytest
import structlog
from pydantic import SecretStr

from birdwatchd.audio.clock import SampleClock
from birdwatchd.audio.intake import Intake
from birdwatchd.audio.ring import Ring
from birdwatchd.audio.stream import MOST_TOLD, Stream
from birdwatchd.config.schema import StreamSource
from birdwatchd.errors import StreamError
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.audio.ffmpeg import Ffmpeg


def stream_of(url: str = "x", shortest: float = 0.01, longest: float = 0.02) -> Stream:
    return Stream(
        StreamSource(kind="stream", name="far", url=SecretStr(url), sample_rate=8000),
        ring_seconds=10,
        wake=lambda: None,
        shortest_pause_seconds=shortest,
        longest_pause_seconds=longest,
    )


def put_ffmpeg(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A shell script in ffmpeg's place."""
    path = folder / "ffmpeg"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_a_missing_ffmpeg_is_said_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    stream = stream_of()
    with pytest.raises(StreamError, match=r"source far: ffmpeg is missing, .*apt-get install ffmpeg"):
        stream.start()
    stream.stop()


def test_odd_bytes_are_carried_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 2.5 samples, a pause longer than a burst is gathered, and 1.5 more.
    put_ffmpeg(
        tmp_path, monkeypatch, r"printf '\001\000\002\000\003'; sleep 1; printf '\000\004\200'; exec sleep 60"
    )
    stream = stream_of()
    stream.start()
    wait_until(lambda: stream.ring.written >= 4, "four samples")
    stream.stop()
    samples = stream.ring.read(0, stream.ring.written)
    assert samples.dtype == np.float32
    assert (samples * 32768).tolist() == [1, 2, 3, 4 - 32768]
    assert stream.fault == ""
    assert [gap.cause for gap in stream.ring.gaps] == ["connecting"]


def test_it_begins_again_whatever_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_ffmpeg(tmp_path, monkeypatch, r"printf '\001\000\002'; echo 'out of birds' >&2; exit 0")
    stream = stream_of()
    stream.start()
    wait_until(lambda: len(stream.ring.gaps) >= 4, "four gaps")
    stream.stop()
    assert [(gap.index, gap.cause) for gap in stream.ring.gaps[:4]] == [
        (0, "connecting"),
        (1, "stream gone"),  # and half a sample with each
        (2, "stream gone"),
        (3, "stream gone"),
    ]
    assert not stream.finished
    assert stream._attempts >= 3  # one that comes and goes is called ever more rarely


def test_an_ffmpeg_that_vanishes_is_a_fault_and_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_ffmpeg(tmp_path, monkeypatch, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    stream = stream_of()
    stream.start()
    (tmp_path / "ffmpeg").unlink()
    wait_until(lambda: "does not run" in stream.fault, "the fault is told")
    put_ffmpeg(tmp_path, monkeypatch, r"printf '\001\000'; exec /bin/sleep 60")
    wait_until(lambda: not stream.fault, "it runs again")
    stream.stop()
    assert stream.ring.written == 1


class SlowThenFast:
    """A child that brings six tenths of the sound for half a minute, then all that is late, and then goes on live."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sent = 0.0

    def read(self, _: float) -> bytes:
        self.now += 0.1
        age = self.now - 1000.0
        due = 0.6 * age if age < 30 else age
        piece = min(due - self.sent, 4.0)
        self.sent += piece
        return b"" if age > 40 else bytes(2 * round(piece * 8000))


def test_what_was_late_catches_up(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(
        StreamSource(kind="stream", name="far", url=SecretStr("x"), sample_rate=8000),
        ring_seconds=60,
        wake=lambda: None,
    )
    stream._stopping.set()
    stream.start()
    stream.stop()
    stream._stopping.clear()
    child = SlowThenFast()
    paused: list[float] = []

    def wait(seconds: float) -> None:
        paused.append(seconds)
        child.now += seconds

    monkeypatch.setattr("birdwatchd.audio.stream.time.monotonic", lambda: child.now)
    monkeypatch.setattr(stream._stopping, "wait", wait)
    assert stream._hear(child) == "stream gone"  # type: ignore[arg-type] # a child that is all in the mind
    assert sum(paused) < 1
    assert stream.ring.written == pytest.approx(40 * 8000, rel=0.01)


class LateRiser:
    """A child that takes 15 seconds for its first sample, and then is silent."""

    def __init__(self) -> None:
        self.now = self.born = 1000.0

    def read(self, _: float) -> bytes | None:
        before, self.now = self.now, self.now + 0.1
        return bytes(16000) if before < self.born + 15 <= self.now else None


def test_one_that_is_slow_to_open_gets_ever_longer_and_one_that_was_heard_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = stream_of()
    stream._stopping.set()
    stream.start()
    stream.stop()
    stream._stopping.clear()
    child = LateRiser()
    monkeypatch.setattr("birdwatchd.audio.stream.time.monotonic", lambda: child.now)

    def taken() -> float:
        child.born = child.now
        assert stream._hear(child) == "stalled"  # type: ignore[arg-type] # a child that is all in the mind
        return child.now - child.born

    assert taken() == pytest.approx(10, abs=0.3)
    assert stream.ring.written == 0
    stream._attempts = 1
    assert taken() == pytest.approx(15 + 10, abs=0.3)
    assert stream.ring.written == 8000
    for attempts, patience in [(2, 40), (3, 60), (5000, 60)]:
        stream._attempts = attempts
        assert stream._opening_seconds() == patience


def test_pauses_double_up_to_the_longest_and_vary() -> None:
    stream = stream_of(shortest=1, longest=60)
    for attempts, longest in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (5000, 60)]:
        stream._attempts = attempts
        pauses = [stream._pause_seconds() for _ in range(50)]
        assert all(longest / 2 <= pause <= longest for pause in pauses)
        assert len(set(pauses)) > 1


def test_reasons_that_come_in_turn_are_told_once_each() -> None:
    stream = stream_of()
    stream.ring = Ring(8000, 8000)
    stream._intake = Intake(stream.ring, SampleClock(8000), lambda: None)
    with structlog.testing.capture_logs() as log:
        for attempt in range(6):
            stream._wait("stream gone", f"no answer after {attempt} s" if attempt % 2 else "refused")
        for attempt in range(50):
            stream._wait("stream gone", "x" * attempt)
    assert [event["reason"] for event in log[:2]] == [
        "stream gone: refused",
        "stream gone: no answer after 1 s",
    ]
    assert len(log) == MOST_TOLD


def test_after_a_while_of_sound_the_pauses_start_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("birdwatchd.audio.stream.GOOD_SECONDS", math.inf)
    put_ffmpeg(tmp_path, monkeypatch, r"while printf '\001\000'; do sleep 0.1; done")
    stream = stream_of()
    stream._attempts = 7
    stream.start()
    wait_until(lambda: stream.ring.written > 2, "it is back")
    assert stream._attempts == 7
    monkeypatch.setattr("birdwatchd.audio.stream.GOOD_SECONDS", 0.0)
    wait_until(lambda: stream._attempts == 0, "its past is forgotten")
    stream.stop()


def test_a_reader_that_fails_begins_again_and_says_so_as_long_as_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_ffmpeg(tmp_path, monkeypatch, r"printf '\001\000'; exec /bin/sleep 60")
    stream = stream_of()
    failing = True
    hear = stream._hear

    def broken(child: Ffmpeg) -> str:
        if failing:
            raise ZeroDivisionError("a mistake of ours")
        return hear(child)

    monkeypatch.setattr(stream, "_hear", broken)
    stream.start()
    wait_until(lambda: stream.helpless_seconds > 0.1, "it is told that only a new process may help")
    assert "a mistake of ours" in stream.fault
    assert stream.cause == "reader failed"
    failing = False
    wait_until(lambda: not stream.fault, "it hears again")
    stream.stop()
    assert [gap.cause for gap in stream.ring.gaps] == ["reader failed"]
