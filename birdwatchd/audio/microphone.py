"""A sound card's input as a source, brought back whenever it goes away."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import structlog

from birdwatchd.audio.clock import SampleClock
from birdwatchd.audio.intake import Intake
from birdwatchd.audio.mute import MUTE, Mute
from birdwatchd.audio.portaudio import Tap, portaudio
from birdwatchd.audio.ring import Ring
from birdwatchd.audio.tended import Tended
from birdwatchd.errors import DeviceError, DeviceStuck

if TYPE_CHECKING:
    from collections.abc import Callable

    from birdwatchd.audio.choice import Choice
    from birdwatchd.audio.portaudio import PortAudio
    from birdwatchd.config.schema import MicrophoneSource

logger = structlog.get_logger(__name__)

POLL_SECONDS = 0.1
LATEST_SECONDS = 0.5
"""More of a pause between two looks is our own delay."""
PROMPT_SECONDS = 0.5
"""After a pause, sound that waited for us comes at once: when nothing more is caught up with for so long, the rest is lost."""
LOOK_SECONDS = 1.0
"""How often it is looked, during a pause, whether something has changed."""
GOOD_SECONDS = 10.0
"""After so much sound the ladder starts over; one that comes and goes by the second is tried ever more rarely."""
HARMLESS_ATTEMPTS = 16
"""So many, about six minutes, before the other microphones are interrupted for it; then at 32, 64, and so on."""


class _OtherRate(DeviceError):  # noqa: N818 - it names what happened
    """The ring was made for another rate than the input has, and lasts as long as the process."""


class Microphone(Tended):
    """Listens to one input.

    Only arriving samples count as life: a stream whose sound server has stopped calls itself active for ever. Without
    them it is opened again, then PortAudio is started afresh, with growing pauses between; what not even that can mend is
    said by `helpless_seconds`.
    """

    def __init__(
        self,
        config: MicrophoneSource,
        *,
        preferred_rate: int,
        ring_seconds: float,
        wake: Callable[[], None],
        patient: bool = False,
        first_sample: int = 0,
        owner: PortAudio | None = None,
        shortest_pause_seconds: float = 1.0,
        longest_pause_seconds: float = 30.0,
    ) -> None:
        """Nothing is opened yet.

        Args:
            config: which input, which channel.
            preferred_rate: Hz that the model would like best.
            ring_seconds: how much sound is kept.
            wake: called after samples arrived.
            patient: an input that cannot be opened at the start is waited for, like one that went away.
            first_sample: the index of the first sample; that of a source before it goes on.
            owner: of PortAudio; the process's own when left out.
            shortest_pause_seconds: before the second attempt to bring it back; the pauses double.
            longest_pause_seconds: between attempts.
        """
        super().__init__(config.name, config.site)
        self._config = config
        self._preferred_rate = preferred_rate
        self._ring_seconds = ring_seconds
        self._wake = wake
        self._patient = patient
        self._first_sample = first_sample
        self._owner = owner or portaudio()
        self._shortest_pause = shortest_pause_seconds
        self._longest_pause = longest_pause_seconds
        self._hung = False  # the last attempt
        self._tap: Tap | None = None
        self._identity = ""
        self._guessed_rate = False

    def start(self) -> None:
        """Open the input.

        Raises:
            DeviceError: there is no PortAudio, no such input, channel or rate, or it is busy.
        """
        self._guessed_rate = True
        rate = self._config.sample_rate or self._preferred_rate
        try:
            choice = self._choose()
            rate = choice.sample_rate
            self._make_ring(rate)
            self._open(choice)
        except (DeviceError, DeviceStuck) as error:
            stuck = isinstance(error, DeviceStuck)
            if not self._patient:
                advice = "; restart the sound server, then try again" if stuck else ""
                raise DeviceError(f"source {self.name}: {error}{advice}") from error
            self._make_ring(rate)
            self._lose("stalled" if stuck else "device gone")
            self._fail(error)
        else:
            logger.info("microphone open", source=self.name, device=choice.device.name, sample_rate=rate)
        self._thread.start()

    def stop(self) -> None:
        """Close the input; it takes no longer than one call into PortAudio may take."""
        self._stop_within(self._owner.deadline_seconds + 2)

    def _make_ring(self, rate: int) -> None:
        self.ring = Ring(math.ceil(self._ring_seconds * rate), rate, self._first_sample)
        self.clock = SampleClock(rate, prompt_seconds=PROMPT_SECONDS, first=self._first_sample)
        self._intake = Intake(self.ring, self.clock, self._wake)
        self._mute = Mute(self.ring)

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
            except Exception as error:
                # The one place of this thread. It begins again, with an open mind: the fault may be in what was open.
                logger.exception("supervisor failed, it begins again", source=self.name)
                self._lose("supervisor failed")
                self._fail(error)
        try:
            self._close()
        except DeviceStuck as stuck:
            logger.warning("microphone left open", source=self.name, reason=str(stuck))

    def _watch(self) -> None:
        opened = looked = time.monotonic()
        silent = 0.0
        while not self._stopping.wait(POLL_SECONDS):
            before, looked = looked, time.monotonic()
            # Where we came late ourselves, on a machine that stalls, the sound may be late with us: that is no silence.
            silent += min(looked - before, LATEST_SECONDS)
            if self._intake.follow():
                silent = 0.0
                if self._fault:
                    logger.warning("microphone back", source=self.name)
                self._fault = self._cause = ""
                self._told.clear()
                self._guessed_rate = False
                if looked - opened > GOOD_SECONDS:
                    self._attempts, self._helpless_since = 0, math.inf
            if cause := self._trouble(silent):
                if not self._fault:
                    logger.warning("microphone lost", source=self.name, cause=cause)
                self._fault = self._fault or cause
                self._lose(cause)
                self._bring_back()
                opened, silent = time.monotonic(), 0.0
                looked = opened

    def _trouble(self, silent_seconds: float) -> str:
        if self._tap is not None and self._tap.closed:
            return "sound system restarted"
        if self._tap is None or self._tap.finished:
            return "device gone"
        if silent_seconds > self._config.stall_seconds:
            return "stalled"
        return MUTE if self._mute.look() else ""

    def _lose(self, cause: str) -> None:
        """No sample counts from here on, until another stream is open. The first cause stands until there is sound."""
        self._cause = self._cause or cause
        if self._tap is not None:
            self._tap.closed = True  # a late block of the old stream must not end the interruption
        self._intake.interrupt(self._cause)

    def _bring_back(self) -> None:
        """Climb the ladder until a stream is open again, or `stop` is called."""
        while not self._pause():
            self._attempts += 1
            try:
                self._climb()
            except (DeviceError, DeviceStuck) as error:
                self._fail(error)
            else:
                return

    def _climb(self) -> None:
        """One attempt."""
        self._close()
        if self._starts_afresh():
            self._owner.reinitialize()
        choice = self._choose()
        if choice.sample_rate != self.ring.sample_rate:
            raise _OtherRate(
                f"{choice.device.name} records at {choice.sample_rate} Hz, which a restart takes into account"
            )
        self._open(choice)

    def _starts_afresh(self) -> bool:
        """Every other attempt: most troubles end by opening again. Ever more rarely where it interrupts the others."""
        if self._owner.cards_changed or not self._owner.reinitializing_would_harm:
            return self._owner.cards_changed or self._attempts % 2 == 0
        return self._attempts >= HARMLESS_ATTEMPTS and self._attempts.bit_count() == 1

    def _choose(self) -> Choice:
        # What the ring was made for stays, but for a rate that was only guessed since there was no input to ask.
        rate = self._config.sample_rate if self._guessed_rate else self.ring.sample_rate
        return self._owner.choose(
            self._config.device,
            channel=self._config.channel,
            sample_rate=rate,
            preferred_rate=self._preferred_rate,
            known=self._identity,
        )

    def _open(self, choice: Choice) -> None:
        self._tap = Tap(choice, self._intake.take)
        self._owner.open(self._tap)
        self._identity = self._identity or choice.identity

    def _close(self) -> None:
        if self._tap is not None:
            self._owner.close(self._tap)

    def _pause(self) -> bool:
        """Wait before the next attempt; none before the first. True when it is time to stop.

        It is over at once when a sound card comes or goes, or when a call that hung has returned.
        """
        if self._attempts == 0:
            return self._stopping.is_set()
        longest = min(self._longest_pause, self._shortest_pause * 2 ** min(self._attempts - 1, 20))
        until = time.monotonic() + longest
        while not self._stopping.wait(max(0.0, min(LOOK_SECONDS, until - time.monotonic()))):
            if self._owner.cards_changed or (self._hung and not self._owner.stuck):
                self._attempts = 1  # a new situation
                return False
            if time.monotonic() >= until:
                return False
        return True

    def _fail(self, error: Exception) -> None:
        """Say what keeps it from hearing, once."""
        known = isinstance(error, DeviceError | DeviceStuck)
        self._hung = isinstance(error, DeviceStuck)
        reason = str(error) if known else f"its supervisor failed: {error}"
        self._fault = reason
        if reason not in self._told:
            self._told.add(reason)
            logger.warning("microphone away", source=self.name, reason=reason)
        if isinstance(error, DeviceError):
            self._helpless_since = -math.inf if isinstance(error, _OtherRate) else math.inf
        else:
            self._attempts = max(1, self._attempts)
            self._helpless_since = min(self._helpless_since, time.monotonic())
