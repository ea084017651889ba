"""A fake of the module `sounddevice`: cards that a test can pull out and put back, which cannot be done to real ones here.

It keeps to what PortAudio does with real cards: the list of devices is made when it is initialised and does not change
until it is initialised again; a card that is pulled out ends its streams; terminating ends all of them.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from birdwatchd.audio.portaudio import PortAudio

if TYPE_CHECKING:
    from collections.abc import Callable

RATE = 8000
BLOCK_SECONDS = 0.05


@dataclass(eq=False)
class FakeCard:
    """A sound card that hears a constant `level`."""

    name: str
    level: float
    number: int
    """What ALSA calls it; the kernel gives another one when it comes back."""
    rates: tuple[int, ...] = (RATE,)
    delivered: int = 0
    """Samples that it has handed over: the truth."""
    until: float = math.inf
    """And up to when they sounded, by the monotonic clock."""
    pauses: list[float] = field(default_factory=list)
    """Seconds between a stream and the next."""
    busy: bool = False
    silent: bool = False
    """It claims to be active, and no sample comes."""
    lets_go: threading.Event = field(default_factory=threading.Event)
    """Closing it returns only when this is set: its driver hangs when it is not."""
    streams: list[FakeStream] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lets_go.set()


class FakeStream:
    """An open stream: a thread that delivers blocks in real time."""

    def __init__(
        self, card: FakeCard, rate: int, channels: int, callback: Any, finished: Callable[[], None]
    ) -> None:
        self._card, self._rate, self._channels = card, rate, channels
        self._callback, self._finished = callback, finished
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._card.streams.append(self)
        self._thread.start()

    def abort(self) -> None:
        self._card.lets_go.wait()
        self._ending.set()
        if self._thread.ident and self._thread is not threading.current_thread():
            self._thread.join()
        if self in self._card.streams:
            self._card.streams.remove(self)

    close = abort

    def _run(self) -> None:
        frames = round(BLOCK_SECONDS * self._rate)
        due = 0.0
        # By the clock, as a card does, from the first block on: on a busy machine blocks are late, and none is missing.
        while not self._ending.wait(max(0.0, due - time.monotonic()) if due else BLOCK_SECONDS):
            if not due:
                due = time.monotonic()
                self._card.pauses += [due - BLOCK_SECONDS - self._card.until] * bool(self._card.delivered)
            if not self._card.silent:
                self._card.delivered += frames
                self._card.until = due
                self._callback(
                    np.full((frames, self._channels), self._card.level, np.float32), frames, None, None
                )
            due += BLOCK_SECONDS
        self._finished()


class FakeSoundDevice:
    """The module, with the cards that are plugged in."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *cards: FakeCard) -> None:
        self.plugged = list(cards)
        self._initialized = 1
        self._known = list(cards)
        self.initialized = 0
        """How often it was initialised anew."""

    def cards(self) -> str:
        """What /proc/asound/cards says."""
        return "".join(f" {card.number} [{card.name}]\n" for card in self.plugged)

    def unplug(self, card: FakeCard) -> None:
        self.plugged.remove(card)
        for stream in tuple(card.streams):
            stream.abort()

    def plug(self, card: FakeCard, number: int) -> None:
        card.number = number
        self.plugged = sorted([*self.plugged, card], key=lambda one: one.number)

    @property
    def default(self) -> Any:
        return type("default", (), {"device": (0, 0)})

    def query_devices(self, index: int | None = None) -> Any:
        if index is not None:
            if not 0 <= index < len(self._known):
                raise self.PortAudioError(f"Error querying device {index}")
            return self.query_devices()[index]
        return [
            {
                "index": index,
                "name": f"{card.name}: USB Audio (hw:{card.number},0)",
                "max_input_channels": 1,
                "default_samplerate": float(card.rates[0]),
            }
            for index, card in enumerate(self._known)
        ]

    def check_input_settings(self, *, device: int, channels: int, dtype: str, samplerate: int) -> None:
        card = self._present(device)
        if samplerate not in card.rates:
            raise self.PortAudioError("Invalid sample rate", -9997)

    def InputStream(  # noqa: N802 - sounddevice's own name
        self,
        *,
        device: int,
        channels: int,
        samplerate: int,
        dtype: str,
        latency: float,
        callback: Any,
        finished_callback: Callable[[], None],
    ) -> FakeStream:
        return FakeStream(self._present(device), samplerate, channels, callback, finished_callback)

    def _present(self, index: int) -> FakeCard:
        card = self._known[index]
        if card not in self.plugged:
            raise self.PortAudioError("Illegal error number", -9999)
        if card.busy:
            raise self.PortAudioError("Device unavailable", -9985)
        return card

    def _terminate(self) -> None:
        self._initialized -= 1
        for card in self._known:
            for stream in tuple(card.streams):
                stream.abort()

    def _initialize(self) -> None:
        self._initialized += 1
        self.initialized += 1
        self._known = list(self.plugged)


class FakePortAudio(PortAudio):
    """The real owner, of the fake module."""

    def __init__(self, module: FakeSoundDevice) -> None:
        super().__init__()
        self._module = module

    def _sounddevice(self) -> Any:
        self._cards = self._cards or self._module.cards()
        return self._module
