"""A sound card's input as a source, brought back whenever it goes away."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

import structlog

from birdwatchd.audio.clock import SampleClock
from birdwatchd.audio.intake import Intake
from birdwatchd.audio.portaudio import PortAudio, Tap, portaudio
from birdwatchd.audio.ring import Ring
from birdwatchd.errors import DeviceError, DeviceStuck

if TYPE_CHECKING:
    from collections.abc import Callable

    from birdwatchd.config.schema import MicrophoneSource

logger = structlog.get_logger(__name__)

POLL_SECONDS = 0.1


class Microphone:
    """Listens to one input.

    Only arriving samples count as life: a stream whose sound server has stopped calls itself active for ever. Without
    them it is opened again, then PortAudio is started afresh, with growing pauses between.
    """

    ring: Ring
    clock: SampleClock

    def __init__(
        self,
        config: MicrophoneSource,
        *,
        preferred_rate: int,
        ring_seconds: float,
        wake: Callable[[], None],
        owner: PortAudio | None = None,
        stall_seconds: float = 5.0,
        shortest_pause_seconds: float = 1.0,
        longest_pause_seconds: float = 30.0,
    ) -> None:
        """Nothing is opened yet.

        Args:
            config: which input, which channel.
            preferred_rate: Hz that the model would like best.
            ring_seconds: how much sound is kept.
            wake: called after samples arrived.
            owner: of PortAudio; the process's own when left out.
            stall_seconds: so long without a sample means that the input is gone.
            shortest_pause_seconds: before the second attempt to bring it back; the pauses double.
            longest_pause_seconds: between attempts.
        """
        self.name = config.name
        self.site = config.site
        self.stuck = False
        """PortAudio does not return from a call: only a new process helps for certain."""
        self._config = config
        self._preferred_rate = preferred_rate
        self._ring_seconds = ring_seconds
        self._wake = wake
        self._owner = owner or portaudio()
        self._stall_seconds = stall_seconds
        self._shortest_pause = shortest_pause_seconds
        self._longest_pause = longest_pause_seconds
        self._fault = ""
        self._attempts = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name=f"source {self.name}", daemon=True)

    @property
    def finished(self) -> bool:
        """Never: a microphone that is away comes back."""
        return False

    @property
    def fault(self) -> str:
        """What is wrong just now; empty when samples arrive."""
        return self._fault

    def start(self) -> None:
        """Open the input.

        Raises:
            DeviceError: there is no PortAudio, no such input, channel or rate, or it is busy.
        """
        config = self._config
        try:
            choice = self._owner.choose(
                config.device,
                channel=config.channel,
                sample_rate=config.sample_rate,
                preferred_rate=self._preferred_rate,
            )
            self.ring = Ring(math.ceil(self._ring_seconds * choice.sample_rate), choice.sample_rate)
            self.clock = SampleClock(choice.sample_rate)
            self._intake = Intake(self.ring, self.clock, self._wake)
            self._tap = Tap(choice, self._intake.take)
            self._owner.open(self._tap)
        except DeviceStuck as stuck:
            raise DeviceError(
                f"source {self.name}: {stuck}; restart the sound server, then try again"
            ) from stuck
        except DeviceError as error:
            raise DeviceError(f"source {self.name}: {error}") from error
        logger.info(
            "microphone open", source=self.name, device=choice.device.name, sample_rate=choice.sample_rate
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the input; it takes no longer than one call into PortAudio may take."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(self._owner.deadline_seconds + 2)

    def _supervise(self) -> None:
        try:
            self._watch()
        except Exception:
            self._fault = "its supervisor failed, see the log"
            logger.exception("supervisor failed", source=self.name)
        try:
            self._owner.close(self._tap)
        except DeviceStuck as stuck:
            logger.warning("microphone left open", source=self.name, reason=str(stuck))

    def _watch(self) -> None:
        alive = time.monotonic()
        while not self._stopping.wait(POLL_SECONDS):
            if self._intake.follow():
                alive = time.monotonic()
                if self._fault:
                    logger.warning("microphone back", source=self.name)
                self._fault, self._attempts = "", 0
            elif cause := self._trouble(time.monotonic() - alive):
                if not self._fault:
                    logger.warning("microphone lost", source=self.name, cause=cause)
                self._fault = self._fault or cause
                self._tap.closed = True  # a late block of the old stream must not end the interruption
                self._intake.interrupt(cause)
                self._bring_back()
                alive = time.monotonic()

    def _trouble(self, silent_seconds: float) -> str:
        if self._tap.finished:
            return "device gone"
        if self._tap.closed:
            return "sound system restarted"
        return "stalled" if silent_seconds > self._stall_seconds else ""

    def _bring_back(self) -> None:
        """Climb the ladder until a stream is open again, or `stop` is called."""
        while not self._pause():
            self._attempts += 1
            try:
                self._owner.close(self._tap)
                # Every other attempt: most troubles end by opening again, which costs the others nothing.
                if self._attempts % 2 == 0 and not self._owner.reinitializing_would_harm:
                    self._owner.reinitialize()
                self._reopen()
            except DeviceStuck as stuck:
                self.stuck = True
                self._fail(str(stuck))
            except DeviceError as error:
                self.stuck = False
                self._fail(str(error))
            else:
                self.stuck = False
                return

    def _reopen(self) -> None:
        choice = self._owner.choose(
            self._config.device,
            channel=self._config.channel,
            sample_rate=self.ring.sample_rate,
            preferred_rate=self.ring.sample_rate,
        )
        self._tap = Tap(choice, self._intake.take)
        self._owner.open(self._tap)

    def _pause(self) -> bool:
        """Wait before the next attempt; none before the first. True when it is time to stop."""
        if self._attempts == 0:
            return self._stopping.is_set()
        pause = min(self._longest_pause, self._shortest_pause * 2 ** min(self._attempts - 1, 20))
        return self._stopping.wait(pause)

    def _fail(self, reason: str) -> None:
        if reason != self._fault:
            logger.warning("microphone still away", source=self.name, reason=reason)
        self._fault = reason
