"""A microphone in a process of its own, which writes down what it heard and when it was dated.

    python -m tests.faults.ear FILE SECONDS STALL_SECONDS

FILE.open is there once it listens. FILE.npz has the samples, int16 (n,), every `STEP`-th date as seconds since 1970, and the
seconds of all gaps.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from birdwatchd.audio.microphone import Microphone
from birdwatchd.config.schema import MicrophoneSource

STEP = 4800


def listen(path: str, seconds: float, stall_seconds: float) -> None:
    """To the default input, which may come and go."""
    microphone = Microphone(
        MicrophoneSource(kind="microphone", name="ear", stall_seconds=stall_seconds),
        preferred_rate=48_000,
        ring_seconds=seconds + 60,
        wake=lambda: None,
        patient=True,
    )
    microphone.start()
    Path(path).with_suffix(".open").touch()
    ring = microphone.ring
    dates: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.2)
        # Asked for soon, as the pipeline does: a date once given stays.
        while len(dates) * STEP < ring.written:
            dates.append(microphone.clock.at(len(dates) * STEP).timestamp())
    heard = np.round(ring.read(0, ring.written) * 32768).astype(np.int16)
    np.savez(path, heard=heard, dates=dates, gaps=[gap.seconds for gap in ring.gaps])
    microphone.stop()


if __name__ == "__main__":
    listen(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
