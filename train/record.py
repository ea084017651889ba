"""A stretch of sound from a microphone, written to a file while it comes."""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from birdwatchd.actions.clip_sound import to_pcm16
from birdwatchd.audio.clock import SampleClock
from birdwatchd.audio.intake import Intake
from birdwatchd.audio.portaudio import Tap, portaudio
from birdwatchd.audio.ring import Ring
from birdwatchd.errors import DeviceError, DeviceStuck, UserError
from train.inspection import FULL_SCALE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from birdwatchd.audio.portaudio import PortAudio

FORMATS = {".wav": "WAV", ".flac": "FLAC"}
USUAL_RATE = 44_100
_RING_SECONDS = 30.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be recorded."""

    seconds: float
    device: int | str | None = None
    """Index, part of the name, or USB id; the system's default when None."""
    sample_rate: int | None = None
    """Hz; 44,100 where the input can do that, else the next rate above, when None."""
    channel: int = 1
    """Counted from 1."""


@dataclass(slots=True)
class Take:
    """What has been recorded so far."""

    device: str
    sample_rate: int
    samples: int = 0
    level_dbfs: float = -math.inf
    """Root mean square of the last piece."""
    peak: float = 0.0
    """Of all of it, 1 being full scale."""
    missing_seconds: float = 0.0
    """Lost on the way: the machine was too busy."""
    interrupted: bool = False
    """Somebody pressed Ctrl-C."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.samples / self.sample_rate

    @property
    def is_clipped(self) -> bool:
        """It was too loud."""
        return self.peak >= FULL_SCALE


def record(
    path: Path,
    wanted: Wanted,
    *,
    show: Callable[[Take], object] = lambda _: None,
    owner: PortAudio | None = None,
    stall_seconds: float = 5.0,
) -> Take:
    """Record to `path`, mono, 16 bit, WAV or FLAC as its suffix says. Ctrl-C ends it; what there is, is kept.

    Args:
        path: where it goes; it is there when it is complete, and hidden beside until then.
        wanted: what.
        show: hears of each piece that came.
        owner: of PortAudio; the process's own when None.
        stall_seconds: so long without a sample means that the input is gone.

    Raises:
        DeviceError: there is no such input, channel or rate, it is busy, or it goes away; what came until then is kept.
        UserError: the file cannot be written.
    """
    owner = owner or portaudio()
    try:
        choice = owner.choose(
            wanted.device, channel=wanted.channel, sample_rate=wanted.sample_rate, preferred_rate=USUAL_RATE
        )
        rate = choice.sample_rate
        ring = Ring(math.ceil(_RING_SECONDS * rate), rate)
        intake = Intake(ring, SampleClock(rate), lambda: None)
        tap = Tap(choice, intake.take)
        take = Take(choice.device.name, rate)
        part = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The name as bytes: soundfile refuses those that are not UTF-8.
            name, kind = os.fsencode(part), FORMATS[path.suffix]
            with soundfile.SoundFile(name, "w", rate, 1, "PCM_16", format=kind) as file:
                owner.open(tap)
                try:
                    for samples in _pieces(tap, intake, ring, round(wanted.seconds * rate), stall_seconds):
                        file.write(to_pcm16(samples))
                        _measure(take, samples)
                        show(take)
                except KeyboardInterrupt:
                    take.interrupted = True
                finally:
                    owner.close(tap)
        except (OSError, soundfile.LibsndfileError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"{path} cannot be written: {reason}") from error
        finally:
            if take.samples:
                part.replace(path)
            else:
                with suppress(OSError):
                    part.unlink()
    except DeviceStuck as stuck:
        raise DeviceError(f"{stuck}: restart the sound server, then try again") from stuck
    take.missing_seconds = sum(gap.seconds for gap in ring.gaps)
    return take


def _pieces(
    tap: Tap, intake: Intake, ring: Ring, count: int, stall_seconds: float
) -> Iterator[NDArray[np.float32]]:
    """What arrives, float32 (n,), until there are `count` samples."""
    alive = time.monotonic()
    read = 0
    while read < count:
        time.sleep(_POLL_SECONDS)
        if intake.follow():
            alive = time.monotonic()
            samples = ring.read(read, min(ring.written, count))
            read += len(samples)
            yield samples
        elif tap.finished or time.monotonic() - alive > stall_seconds:
            raise DeviceError(
                f"{tap.choice.device.name} gives no more sound after {read / ring.sample_rate:.1f} s, which are kept: see that it is plugged in, then record again"
                if read
                else f"{tap.choice.device.name} gives no sound: see that it is plugged in, and not muted"
            )


def _measure(take: Take, samples: NDArray[np.float32]) -> None:
    take.samples += len(samples)
    take.peak = max(take.peak, float(np.abs(samples).max(initial=0.0)))
    power = float(np.var(samples, dtype=np.float64)) if len(samples) else 0.0
    take.level_dbfs = 10 * math.log10(power) if power > 0 else -math.inf
