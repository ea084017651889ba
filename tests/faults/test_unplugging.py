"""Sound cards that are pulled out and put back, on a fake sound system (fake_sounddevice.py): real ones have no hands here."""

from __future__ import annotations

import functools
import threading
import time
from typing import TYPE_CHECKING

import pytest

from birdwatchd.audio import portaudio
from birdwatchd.audio.last_resort import PATIENCE_WITH_OTHERS_SECONDS, reason_to_leave
from birdwatchd.audio.microphone import HARMLESS_ATTEMPTS, Microphone
from birdwatchd.audio.mute import Mute
from birdwatchd.audio.portaudio import Tap
from birdwatchd.config.schema import MicrophoneSource
from birdwatchd.errors import DeviceError
from tests.faults.fake_sounddevice import RATE, FakeCard, FakePortAudio, FakeSoundDevice
from tests.faults.station import balance
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

LITTLE = 0.2
"""Seconds: blocks, and what the clock of samples makes of them."""


class Ears:
    """Two cards, and what listens to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.snowball = FakeCard("Snowball", 0.25, 1)
        self.moth = FakeCard("AudioMoth", 0.5, 2)
        self.module = FakeSoundDevice(self.snowball, self.moth)
        self.owner = FakePortAudio(self.module)
        self.open: list[Microphone] = []
        monkeypatch.setattr(portaudio, "_cards", self.module.cards)

    def listen(self, device: int | str | None, *, patient: bool = False) -> Microphone:
        microphone = Microphone(
            MicrophoneSource(
                kind="microphone", name=str(device).partition(":")[0], device=device, stall_seconds=1
            ),
            preferred_rate=RATE,
            ring_seconds=60,
            wake=lambda: None,
            owner=self.owner,
            patient=patient,
            shortest_pause_seconds=0.1,
            longest_pause_seconds=0.4,
        )
        microphone.start()
        self.open.append(microphone)
        if not patient:
            self.wait_for(microphone)
        return microphone

    @staticmethod
    def wait_for(microphone: Microphone, seconds: float = 0.3) -> None:
        wanted = microphone.ring.written + round(seconds * RATE)
        wait_until(
            lambda: microphone.ring.written >= wanted and not microphone.fault,
            f"sound arrives ({microphone.fault})",
        )

    @staticmethod
    def levels(microphone: Microphone) -> set[float]:
        return set(microphone.ring.read(0, microphone.ring.written).tolist())

    def close(self) -> None:
        for microphone in self.open:
            microphone.stop()


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ears]:
    ears = Ears(monkeypatch)
    yield ears
    ears.close()


@pytest.mark.parametrize("device", [1, "moth", "AudioMoth: USB Audio (hw:2,0)"])
def test_a_card_that_is_back_under_another_index_is_heard_again(ears: Ears, device: int | str) -> None:
    microphone = ears.listen(device)
    ears.module.unplug(ears.moth)
    wait_until(lambda: "gone" in microphone.fault or "not exist" in microphone.fault, "the fault is told")
    away, since = microphone.ring.written, ears.moth.until
    ears.module.plug(FakeCard("Webcam", 0.75, 0), 0)  # takes the place of another
    least = time.monotonic() - since
    ears.module.plug(ears.moth, 3)
    ears.wait_for(microphone)
    most = time.monotonic() - since
    microphone.stop()
    assert ears.levels(microphone) == {0.5}
    (gap,) = microphone.ring.gaps
    assert (gap.index, gap.cause) == (away, "device gone")
    assert microphone.ring.written <= ears.moth.delivered
    found = balance(microphone)
    assert least - LITTLE < gap.seconds < most + LITTLE
    assert found.captured == pytest.approx(ears.moth.delivered / RATE, abs=0.3)
    assert found.expected == pytest.approx(found.captured + gap.seconds, abs=0.001)


def test_a_card_that_is_pulled_out_costs_the_other_nothing_while_it_is_away(ears: Ears) -> None:
    snowball, moth = ears.listen("snowball"), ears.listen("moth")
    ears.module.unplug(ears.moth)
    wait_until(lambda: ears.module.initialized, "PortAudio is started afresh, since a card went")
    assert moth._attempts < HARMLESS_ATTEMPTS
    ears.wait_for(snowball)
    before = ears.module.initialized
    for _ in range(3):
        ears.wait_for(snowball, 0.5)
    # And from then on the other is left in peace, but for one attempt in very many.
    assert ears.module.initialized == before or moth._attempts >= HARMLESS_ATTEMPTS
    ears.module.plug(ears.moth, 7)
    ears.wait_for(moth)
    ears.wait_for(snowball)
    assert {gap.cause for gap in snowball.ring.gaps} == {"sound system restarted"}
    assert ears.levels(snowball) == {0.25}
    assert ears.levels(moth) == {0.5}
    found = balance(snowball)
    assert found.expected == pytest.approx(found.captured + sum(found.lost.values()), abs=0.001)
    assert found.captured == pytest.approx(ears.snowball.delivered / RATE, abs=0.2)


def test_a_card_that_claims_to_be_active_and_is_not_is_opened_again(ears: Ears) -> None:
    microphone = ears.listen("moth")
    ears.moth.silent = True
    wait_until(lambda: microphone.fault, "the fault is told")
    since = ears.moth.until
    least = time.monotonic() - since
    ears.moth.silent = False
    ears.wait_for(microphone, 0.1)
    most = time.monotonic() - since
    microphone.stop()
    found = balance(microphone)
    assert found.causes.keys() == {"stalled"}
    assert least - LITTLE < found.causes["stalled"] < most + LITTLE
    assert found.captured == pytest.approx(ears.moth.delivered / RATE, abs=0.3)
    assert found.expected == pytest.approx(found.captured + found.causes["stalled"], abs=0.001)


def test_a_card_that_somebody_else_holds_for_a_while_is_taken_afterwards(ears: Ears) -> None:
    microphone = ears.listen("moth")
    ears.module.unplug(ears.moth)
    ears.moth.busy = True
    ears.module.plug(ears.moth, 2)
    wait_until(lambda: "busy" in microphone.fault, "the fault is told")
    ears.moth.busy = False
    ears.wait_for(microphone)


def test_a_card_that_is_not_there_at_the_start_is_waited_for_when_asked(ears: Ears) -> None:
    ears.module.unplug(ears.moth)
    ears.owner.reinitialize()
    before = time.monotonic()
    microphone = ears.listen("moth", patient=True)
    after = time.monotonic()
    assert "'moth' does not exist" in microphone.fault
    time.sleep(1)
    least = time.monotonic() - after
    ears.module.plug(ears.moth, 2)
    ears.wait_for(microphone)
    most = time.monotonic() - before
    microphone.stop()
    (gap,) = microphone.ring.gaps
    assert (gap.index, gap.cause) == (0, "device gone")
    assert least - LITTLE < gap.seconds < most + LITTLE
    found = balance(microphone)
    assert found.captured == pytest.approx(ears.moth.delivered / RATE, abs=0.3)
    assert found.expected == pytest.approx(found.captured + gap.seconds, abs=0.001)


def test_a_driver_that_hangs_costs_the_other_nothing_and_is_waited_for(ears: Ears) -> None:
    snowball, moth = ears.listen("snowball"), ears.listen("moth")
    ears.owner._deadline.seconds = 1
    ears.moth.silent = True
    ears.moth.lets_go.clear()
    wait_until(lambda: moth.helpless_seconds, "it is told that a call does not return")
    assert "has not answered" in moth.fault
    ears.wait_for(snowball, 2.0)
    assert snowball.ring.gaps == ()
    assert not reason_to_leave([snowball, moth])
    ears.moth.silent = False
    ears.moth.lets_go.set()
    ears.wait_for(moth)
    assert snowball.ring.gaps == ()
    assert balance(snowball).captured == pytest.approx(ears.snowball.delivered / RATE, abs=0.2)
    assert [gap.cause for gap in moth.ring.gaps] == ["stalled"]


def test_a_card_is_not_mistaken_for_another_when_indices_change_under_its_feet(ears: Ears) -> None:
    choice = ears.owner.choose("moth", channel=1, sample_rate=RATE, preferred_rate=RATE)
    ears.module.unplug(ears.snowball)
    ears.module.plug(FakeCard("Webcam", 0.75, 5), 5)
    ears.owner.reinitialize()  # the moth has moved from 1 to 0, and at 1 there is the webcam
    with pytest.raises(DeviceError, match=r"AudioMoth.* is not where it was"):
        ears.owner.open(Tap(choice, lambda _: None))


def test_a_card_that_comes_with_another_rate_than_was_guessed_is_left_to_a_new_process(ears: Ears) -> None:
    ears.module.unplug(ears.moth)
    ears.owner.reinitialize()
    microphone = ears.listen("moth", patient=True)
    snowball = ears.listen("snowball")
    assert not reason_to_leave([microphone, snowball])
    ears.moth.rates = (2 * RATE,)
    ears.module.plug(ears.moth, 2)
    wait_until(lambda: reason_to_leave([microphone, snowball]), "it is told")
    assert "records at 16000 Hz" in microphone.fault
    assert microphone.helpless_seconds > PATIENCE_WITH_OTHERS_SECONDS


def test_a_supervisor_that_fails_begins_again(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    microphone = ears.listen("moth")
    failures: list[Tap] = []
    is_mended = threading.Event()

    def broken(tap: Tap) -> None:
        if not is_mended.is_set():
            failures.append(tap)
            raise RuntimeError("a mistake of ours")
        close(tap)

    close = ears.owner.close
    monkeypatch.setattr(ears.owner, "close", broken)
    ears.module.unplug(ears.moth)
    wait_until(lambda: len(failures) > 1, "it has begun again")
    wait_until(lambda: "supervisor failed: a mistake" in microphone.fault, "the fault is told")
    assert microphone.helpless_seconds
    is_mended.set()
    ears.module.plug(ears.moth, 2)
    ears.wait_for(microphone)
    assert [gap.cause for gap in microphone.ring.gaps] == ["device gone"]


def test_a_card_that_delivers_nothing_but_digital_silence_is_opened_again(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("birdwatchd.audio.microphone.Mute", functools.partial(Mute, patience_seconds=1.0))
    microphone = ears.listen("moth")  # always the same value: no microphone is so still
    wait_until(lambda: microphone.ring.gaps, "it is opened again")
    ears.wait_for(microphone)
    assert {gap.cause for gap in microphone.ring.gaps} == {"digital silence"}
    assert microphone.ring.gaps[0].seconds == pytest.approx(ears.moth.pauses[0], abs=0.3)


def test_a_card_that_comes_and_goes_is_tried_ever_more_rarely(ears: Ears) -> None:
    microphone = ears.listen("moth")
    for _ in range(4):
        for stream in tuple(ears.moth.streams):
            stream.abort()
        wait_until(lambda: ears.moth.streams, "it is open again")
        ears.wait_for(microphone, 0.1)
    assert microphone._attempts == 4
