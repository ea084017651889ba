"""PortAudio, kept at arm's length: any call into it may never return.

A sound server that hangs blocks opening, closing and terminating for as long as it hangs, so every call has a
deadline.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from birdwatchd.audio.choice import Choice, choose, explained, list_inputs, supports
from birdwatchd.audio.deadline import Deadline
from birdwatchd.audio.mix import mix
from birdwatchd.errors import DeviceError, DeviceStuck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from birdwatchd.audio.inputs import Input

Result = TypeVar("Result")

LATENCY_SECONDS = 0.2
"""What PortAudio may keep back: rides out a busy machine, and makes blocks of about 50 ms."""


class Tap:
    """One stream of one input: `take` gets its blocks, float32 (n,), on PortAudio's thread, until it is closed."""

    def __init__(self, choice: Choice, take: Callable[[NDArray[np.float32]], None]) -> None:
        """Not open yet: `PortAudio.open` does that."""
        self.choice = choice
        self.finished = False
        """PortAudio has given the stream up."""
        self.closed = False
        self.stream: Any = None
        self._take = take

    def arrive(self, block: NDArray[np.float32], frames: int, moment: object, flags: object) -> None:
        """PortAudio's callback, `block` being (frames, channels)."""
        if not self.closed:
            column = self.choice.column
            self._take(mix(block) if column is None else block[:, column])

    def finish(self) -> None:
        """PortAudio's other callback."""
        self.finished = True


class PortAudio:
    """The one owner of the library, which is one for the whole process.

    Every method may raise DeviceStuck: PortAudio does not answer.
    """

    def __init__(self, *, deadline_seconds: float = 5.0) -> None:
        """The library is loaded by the first call."""
        self._deadline = Deadline(deadline_seconds)
        self._taps: set[Tap] = set()
        self._cards = ""

    @property
    def deadline_seconds(self) -> float:
        """No method takes longer."""
        return self._deadline.seconds

    @property
    def stuck(self) -> bool:
        """A call has not returned in time, and still has not."""
        return self._deadline.stuck

    def inputs(self) -> list[Input]:
        """Every sound input there was when PortAudio was last initialised.

        Raises:
            DeviceError: PortAudio is not installed, or cannot start.
        """
        return self._call(list_inputs)

    def rates(self, device: Input, rates: Iterable[int]) -> list[int]:
        """Those of `rates` that the device records at, Hz.

        Raises:
            DeviceError: it is busy, or gone.
        """
        counts = (min(2, device.channels), device.channels)
        return self._call(lambda sd: [rate for rate in rates if supports(sd, device, counts, rate)])

    def choose(
        self,
        wanted: int | str | None,
        *,
        channel: int | str,
        sample_rate: int | None,
        preferred_rate: int,
        known: str = "",
    ) -> Choice:
        """Find the input that the config means, or that was `known` by this identity, and how to open it.

        Raises:
            DeviceError: there is no such input, channel or rate, or it is busy.
        """
        return self._call(lambda sd: choose(sd, wanted, channel, sample_rate, preferred_rate, known=known))

    def open(self, tap: Tap) -> None:
        """Open the tap's stream and start it.

        Raises:
            DeviceError: it cannot be opened.
        """

        def work(sd: Any) -> None:
            choice = tap.choice
            with explained(sd, choice.device.name):
                # Between choosing and opening another microphone may have started PortAudio afresh: indices are new then.
                if sd.query_devices(choice.device.index)["name"] != choice.device.name:
                    raise DeviceError(f"{choice.device.name} is not where it was any more")
                tap.stream = sd.InputStream(
                    device=choice.device.index,
                    channels=choice.channels,
                    samplerate=choice.sample_rate,
                    dtype="float32",
                    latency=LATENCY_SECONDS,
                    callback=tap.arrive,
                    finished_callback=tap.finish,
                )
                self._taps.add(tap)
                try:
                    tap.stream.start()
                except sd.PortAudioError:
                    self._shut(sd, tap)
                    raise
            if tap.closed:  # nobody waited for it
                self._shut(sd, tap)

        try:
            self._call(work)
        except (DeviceError, DeviceStuck):
            tap.closed = True
            raise

    def close(self, tap: Tap) -> None:
        """End the tap. No block arrives afterwards, even when PortAudio does not answer."""
        tap.closed = True
        if tap in self._taps:
            self._call(lambda sd: self._shut(sd, tap))

    def reinitialize(self) -> None:
        """Start PortAudio afresh, so that it sees devices that are new. All taps are closed.

        Raises:
            DeviceError: it does not start.
        """

        def work(sd: Any) -> None:
            for tap in tuple(self._taps):
                tap.closed = True
                self._shut(sd, tap)
            with explained(sd, "the sound system"):
                while sd._initialized:  # noqa: SLF001 - the only way; sounddevice's own documentation names it
                    sd._terminate()  # noqa: SLF001 - as above
                self._cards = _cards()
                sd._initialize()  # noqa: SLF001 - as above

        self._call(work)

    @property
    def cards_changed(self) -> bool:
        """A sound card has come or gone since PortAudio was initialised: it does not know of it yet."""
        return _cards() != self._cards

    @property
    def reinitializing_would_harm(self) -> bool:
        """Somebody is listening, and no sound card has come or gone: it would cost sound and gain nothing."""
        return bool(self._taps) and not self.cards_changed

    def _shut(self, sd: Any, tap: Tap) -> None:
        self._taps.discard(tap)
        # What is broken already may complain about being closed; there is nothing more to do for it.
        with contextlib.suppress(sd.PortAudioError):
            tap.stream.abort()
        with contextlib.suppress(sd.PortAudioError):
            tap.stream.close()

    def _call(self, work: Callable[[Any], Result]) -> Result:
        return self._deadline.call(lambda: work(self._sounddevice()))

    def _sounddevice(self) -> Any:
        self._cards = self._cards or _cards()
        try:
            import sounddevice as sd
        except OSError as error:
            raise DeviceError(
                "PortAudio is missing, which records from sound cards: `sudo apt-get install libportaudio2`"
            ) from error
        except Exception as error:  # PortAudio starts in the import; its error's class is inside what failed
            raise DeviceError(f"the sound system does not start: {error}") from error
        # It would terminate PortAudio when the process ends, for ever when the sound server hangs.
        atexit.unregister(sd._exit_handler)  # noqa: SLF001 - there is no other way to it
        return sd


@functools.cache
def portaudio() -> PortAudio:
    """The process's own."""
    return PortAudio()


def _cards() -> str:
    try:
        return Path("/proc/asound/cards").read_text()
    except OSError:
        return ""
