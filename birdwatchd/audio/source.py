"""What a source of sound is: a thread that fills a ring, and a clock that dates its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from birdwatchd.audio.ring import Ring
    from birdwatchd.trust import ClockStep


class Clock(Protocol):
    """Dates samples. The only place where a sample index becomes a time."""

    def at(self, index: int) -> datetime:
        """The aware UTC time of the sample `index`."""

    @property
    def steps(self) -> tuple[ClockStep, ...]:
        """When the system clock was set, oldest first."""


class Source(Protocol):
    """A microphone, a stream or a recording.

    `start()` opens it and returns once its rate is known and `ring` and `clock` exist; from then on its own thread
    (or PortAudio's) writes. `stop()` ends it within a few seconds, whatever the device does. Neither is called twice.

    Raises:
        UserError: from `start()`, when it can never work (no such device, no such file, no ffmpeg). A source that is
            merely away (a stream's server is down) starts, and keeps trying.
    """

    @property
    def name(self) -> str: ...

    @property
    def site(self) -> str: ...

    @property
    def ring(self) -> Ring: ...

    @property
    def clock(self) -> Clock: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    @property
    def finished(self) -> bool:
        """True when no sample will ever follow: a recording that is at its end."""

    @property
    def fault(self) -> str:
        """What is wrong with it just now, in a few words; empty when samples arrive."""
