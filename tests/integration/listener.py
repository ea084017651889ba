"""A process that listens to microphones and says what it knows: PortAudio reads its environment only once.

Arguments: a JSON list of microphone sources, and how many seconds the sound system may take to answer. Commands on stdin,
one JSON answer a line on stdout: `state`, `save PATH` (the first source's ring), `hurry` (whoever does not answer is missed
soon from now on), `stop`.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

from birdwatchd.audio.microphone import Microphone
from birdwatchd.audio.portaudio import PortAudio
from birdwatchd.config.schema import MicrophoneSource
from birdwatchd.errors import UserError

owner = PortAudio(deadline_seconds=float(sys.argv[2]))
wakes = 0


def wake() -> None:
    global wakes  # noqa: PLW0603 - a count is all this process keeps
    wakes += 1


def state(microphone: Microphone) -> dict[str, Any]:
    ring = microphone.ring
    return {
        "monotonic": time.monotonic(),
        "written": ring.written,
        "sample_rate": ring.sample_rate,
        "fault": microphone.fault,
        "helpless_seconds": microphone.helpless_seconds,
        "wakes": wakes,
        "gaps": [[gap.index, gap.seconds, gap.cause] for gap in ring.gaps],
        "date": microphone.clock.at(ring.written).timestamp(),
        "now": time.time(),
    }


def answer(value: Any) -> None:
    # In one piece and on a line of its own: another thread may just be in the middle of a line of the log.
    sys.stdout.write(f"\n{json.dumps(value)}\n")
    sys.stdout.flush()


microphones = [
    Microphone(
        MicrophoneSource(kind="microphone", stall_seconds=20, **source),
        preferred_rate=48000,
        ring_seconds=300,
        wake=wake,
        owner=owner,
        shortest_pause_seconds=0.2,
        longest_pause_seconds=0.5,
    )
    for source in json.loads(sys.argv[1])
]
try:
    for microphone in microphones:
        microphone.start()
except UserError as error:
    answer({"error": str(error)})
    sys.exit(2)
answer({"started": True})
for line in sys.stdin:
    command, _, argument = line.strip().partition(" ")
    if command == "state":
        answer([state(microphone) for microphone in microphones])
    elif command == "save":
        ring = microphones[0].ring
        np.save(argument, ring.read(ring.oldest, ring.written))
        answer({"saved": argument})
    elif command == "hurry":
        owner._deadline.seconds = 1.5
        for microphone in microphones:
            microphone._config = microphone._config.model_copy(update={"stall_seconds": 1.0})
        answer({"hurries": True})
    elif command == "stop":
        began = time.monotonic()
        for microphone in microphones:
            microphone.stop()
        written = [microphone.ring.written for microphone in microphones]
        time.sleep(0.3)
        still = [microphone.ring.written for microphone in microphones] == written
        answer({"seconds": time.monotonic() - began - 0.3, "still": still})
        break
