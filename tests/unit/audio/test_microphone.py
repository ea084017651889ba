"""The ladder that brings a microphone back, with a sound system that does as it is told."""

from __future__ import annotations

import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from birdwatchd.audio.choice import Choice
from birdwatchd.audio.inputs import Input
from birdwatchd.audio.microphone import Microphone
from birdwatchd.audio.portaudio import PortAudio, Tap
from birdwatchd.config.schema import MicrophoneSource
from birdwatchd.errors import DeviceError, DeviceStuck
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

RATE = 8000


class ToldPortAudio(PortAudio):
    """Opens, fails and hangs as it is told."""

    def __init__(self) -> None:
        super().__init__(deadline_seconds=1)
        self.calls: list[str] = []
        self.trouble: Exception | None = None
        self.tap: Tap | None = None
        self.harm = False
        self.hangs = False

    @property
    def stuck(self) -> bool:
        return self.hangs

    def choose(
        self,
        wanted: int | str | None,
        *,
        channel: int | str,
        sample_rate: int | None,
        preferred_rate: int,
        known: str = "",
    ) -> Choice:
        self.calls.append("open")
        if self.trouble:
            raise self.trouble
        return Choice(Input(0, "told", 1, RATE, is_default=True, usb=""), 1, 0, sample_rate or preferred_rate)

    def open(self, tap: Tap) -> None:
        self.tap = tap

    def close(self, tap: Tap) -> None:
        tap.closed = True

    def reinitialize(self) -> None:
        self.calls.append("reinitialize")

    @property
    def reinitializing_would_harm(self) -> bool:
        return self.harm

    def hear(self) -> bool:
        """A hundredth of a second of sound arrives."""
        assert self.tap is not None
        self.tap.arrive(np.full((RATE // 100, 1), 0.5, np.float32), RATE // 100, None, None)
        return True


def microphone(owner: PortAudio, *, stall_seconds: float = 60, pause_seconds: float = 0.01) -> Microphone:
    return Microphone(
        MicrophoneSource(kind="microphone", name="mic", stall_seconds=stall_seconds),
        preferred_rate=RATE,
        ring_seconds=5,
        wake=lambda: None,
        owner=owner,
        shortest_pause_seconds=pause_seconds,
        longest_pause_seconds=2 * pause_seconds,
    )


def test_it_climbs_until_sound_arrives_again() -> None:
    owner = ToldPortAudio()
    mic = microphone(owner)
    mic.start()
    owner.hear()
    wait_until(lambda: mic.ring.written, "sound arrives")
    before = mic.ring.written
    first = owner.tap
    owner.trouble = DeviceError("told is gone")
    assert first is not None
    first.finish()
    wait_until(lambda: mic.fault == "told is gone", "the fault is told")
    wait_until(lambda: owner.calls.count("reinitialize") >= 2, "it climbs twice")
    assert owner.calls[:5] == ["open", "open", "reinitialize", "open", "open"]
    owner.trouble = None
    wait_until(lambda: owner.tap is not first, "another stream is open")
    first.arrive(np.ones((10, 1), np.float32), 10, None, None)  # an old stream that wakes up is not heard
    wait_until(lambda: owner.hear() and not mic.fault, "it is back")
    mic.stop()
    assert (mic.ring.gaps[0].index, mic.ring.gaps[0].cause) == (before, "device gone")
    assert set(mic.ring.read(0, mic.ring.written).tolist()) == {0.5}
    assert not mic.finished


def test_a_stream_without_samples_is_opened_again() -> None:
    owner = ToldPortAudio()
    mic = microphone(owner, stall_seconds=1)
    mic.start()
    owner.hear()
    wait_until(lambda: owner.calls.count("open") >= 2, "it is opened again")  # nothing else came for a while
    assert mic.fault == "stalled"
    wait_until(lambda: owner.hear() and not mic.fault, "it is back")
    mic.stop()
    assert mic.ring.gaps[0].cause == "stalled"


def test_a_machine_that_stalled_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes late to look has no right to say that sound is late: it may be about to come, all of it."""
    looks: list[float] = []
    stalled = threading.Event()

    def monotonic() -> float:
        looks.append(time.monotonic() + 3600 * stalled.is_set())
        return looks[-1]

    monkeypatch.setattr("birdwatchd.audio.microphone.time", SimpleNamespace(monotonic=monotonic))
    owner = ToldPortAudio()
    mic = microphone(owner)
    mic.start()
    owner.hear()
    for _ in range(2):  # it was seen that sound arrives; and then there was the stall
        before = len(looks)
        wait_until(lambda before=before: len(looks) > before + 3, "it is looked again")  # type: ignore[misc] # a lambda's default
        stalled.set()
    owner.hear()
    mic.stop()
    assert owner.calls == ["open"]
    assert mic.ring.gaps == ()


def test_others_are_not_disturbed_for_nothing() -> None:
    owner = ToldPortAudio()
    owner.harm = True
    mic = microphone(owner)
    mic.start()
    owner.trouble = DeviceError("told is gone")
    assert owner.tap is not None
    owner.tap.finish()
    wait_until(lambda: owner.calls.count("open") > 5, "it goes on trying")
    mic.stop()
    assert "reinitialize" not in owner.calls


def test_being_stuck_is_told_and_untold() -> None:
    owner = ToldPortAudio()
    mic = microphone(owner)
    mic.start()
    owner.trouble = DeviceStuck("no answer")
    assert owner.tap is not None
    owner.tap.finish()
    wait_until(lambda: mic.helpless_seconds > 0.1, "it is told")
    assert mic.fault == "no answer"
    owner.trouble = DeviceError("told is gone")  # an answer, at least
    wait_until(lambda: not mic.helpless_seconds, "it is untold")
    mic.stop()


def test_the_pause_is_over_when_a_call_that_hung_has_returned() -> None:
    owner = ToldPortAudio()
    mic = microphone(owner, pause_seconds=600)
    mic.start()
    owner.hangs, owner.trouble = True, DeviceStuck("no answer")
    assert owner.tap is not None
    first = owner.tap
    first.finish()
    wait_until(lambda: mic.fault == "no answer", "it is told")
    owner.hangs, owner.trouble = False, None
    wait_until(lambda: owner.tap is not first, "it is open again, long before the pause would be over")
    mic.stop()


def test_a_missing_library_is_said_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(
        DeviceError, match=r"source mic: PortAudio is missing, .*apt-get install libportaudio2"
    ):
        microphone(PortAudio()).start()


def test_stopping_what_never_started_is_nothing() -> None:
    microphone(ToldPortAudio()).stop()
