"""A station without ears, to be killed as often as one likes: its modules are loaded once, and each life is a fork.

    python -m tests.faults.dying FOLDER

Each line on standard input begins a life of that name. It says `alive PID`, `recorded ID/STATE` for each commit, and,
when it is over, `dead STATUS`. A life whose name begins with `last` records nothing, delivers what waits, and ends.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import structlog

from birdwatchd.actions import clip_sound
from birdwatchd.actions.save_clip import SaveClip
from birdwatchd.config.schema import Retention as Limits
from birdwatchd.dispatch.desk import Desk
from birdwatchd.domain import Clip, Detection
from birdwatchd.store.backup import Backups
from birdwatchd.store.database import Database
from birdwatchd.store.recorder import Recorder
from birdwatchd.store.retention import Retention
from tests.acting import config, surroundings
from tests.faults.delivering import Hook, Messenger
from tests.rows import candidate, detection, entry

RATE = 8000
FRAMES = 3 * RATE
KEEP = {"name": "keep", "kind": "save_clip", "picture": False}  # drawing takes most of a short life
LOADED = (clip_sound,)
"""What an action imports only when it is needed, and each life would load anew."""


def clip_of(one: Detection, _before: float, _after: float) -> Clip:
    """Three seconds that belong to it alone."""
    samples = np.random.default_rng(one.start_sample).normal(0, 0.1, FRAMES).astype(np.float32)
    start = one.start - timedelta(seconds=1)
    return Clip(
        one.source,
        one.start_sample - RATE,
        one.start_sample + 2 * RATE,
        start,
        RATE,
        samples,
        (),
        voice=False,
    )


def say(line: str) -> None:
    """All of it at once, so that no line is torn."""
    os.write(1, f"{line}\n".encode())


def live(folder: Path, name: str) -> None:
    """What the daemon does with detections, but for hearing them."""
    clips = folder / "clips"
    retention = Retention(clips, Limits(free_gigabytes=0))
    retention.tidy()
    left = [path.name for path in clips.rglob(".*.part")]
    assert not left, left
    backups = Backups(folder / "backups", keep=3, most_megabytes=100)
    actions = [
        Messenger(config("tell", on="started"), folder / "world", Hook()),
        SaveClip(SaveClip.Config.model_validate(KEEP)),
    ]
    with Database.open_or_renew(folder / "db", backups) as database:
        desk = Desk(
            actions,
            database,
            surroundings(name, clips_folder=clips, sound=clip_of, make_room=retention.make_room),
        )
        recorder = Recorder(database, run_id=name, posting=desk.posting, flush_rows=20)
        desk.start()
        if name.startswith("last"):
            while desk.count_waiting():
                time.sleep(0.01)
            assert backups.make(database)
            assert recorder.close()
            desk.stop()
            return
        copying = threading.Thread(target=lambda: [backups.make(database) for _ in range(1000)], daemon=True)
        copying.start()
        number = int(name) * 100_000
        while True:
            number += 1
            for state, seconds in (("started", 3), ("ended", 9)):
                one = detection(
                    number, seconds=seconds, run_id=name, state=state, clip_path=f"{name}/{number}"
                )
                recorder.record(one)
                say(f"recorded {one.id}/{state}")
            recorder.trace([candidate(number)])
            recorder.account([entry(1.0)])


def main() -> None:
    folder = Path(sys.argv[1])
    # The log elsewhere: what a buffer of its lines gave up when it was full would tear those that are said.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                live(folder, line.strip())
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        say(f"alive {pid}")
        _, status = os.waitpid(pid, 0)
        say(f"dead {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
