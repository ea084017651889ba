"""From sound to message: `scripts/bench latency`.

The real daemon with BirdNET hears birds in real time and tells a real Mosquitto. The clock starts when the write that
brought the last sample of the deciding window to the ring has returned, and stops when an independent subscriber
(mosquitto_sub, another process) has the message. The peer is arithmetic, not a program: a loop that records three
seconds, stops, and classifies has the same sound wait for 0 to 3 seconds before anybody looks at it.
"""

from __future__ import annotations

import bisect
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from birdwatchd.audio.ring import Ring  # noqa: E402 - the paths come first
from birdwatchd.config.load import load  # noqa: E402
from birdwatchd.config.secrets import Secrets  # noqa: E402
from birdwatchd.daemon import run  # noqa: E402
from birdwatchd.dispatch.plugins import schemas  # noqa: E402
from birdwatchd.pipeline import Listeners  # noqa: E402
from birdwatchd.service.logs import set_up  # noqa: E402
from tests.integration.mosquitto import PASSWORD, USER, Mosquitto, missing  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from birdwatchd.domain import Detection, Scores, Window

SLOT_SECONDS = 11
RATE = 48000
CONFIG = """\
node: bench
sources:
  - {{name: garden, kind: recording, path: {folder}/birds.wav, start: now}}
actions:
  - name: tell
    kind: mqtt
    host: localhost
    port: {port}
    username: {user}
    password: "{password}"
    discovery: {{enabled: false}}
store: {{database: {folder}/birds.sqlite}}
log: {{level: warning, format: json}}
"""


class Watch:
    """When each sample was written, each window decided on, and each message heard."""

    def __init__(self) -> None:
        self.written: list[tuple[int, float]] = []
        self.deciding: dict[str, int] = {}
        self.heard: dict[str, float] = {}
        self._window_stop = 0

    def install(self) -> None:
        """Note the time after every write into a ring."""
        write = Ring.write

        def timed(ring: Ring, block: NDArray[np.float32]) -> None:
            write(ring, block)
            self.written.append((ring.written, time.monotonic()))

        Ring.write = timed  # type: ignore[assignment,method-assign] # a benchmark may look inside

    def window(self, window: Window, _scores: Scores) -> None:
        """A window was decided on."""
        self._window_stop = window.stop_sample

    def detection(self, detection: Detection) -> None:
        """A detection came of the window before."""
        if detection.state == "started":
            self.deciding[detection.id] = self._window_stop

    def listen(self, lines: Any, offset: float) -> None:
        """Read what mosquitto_sub prints: its own time, and the message."""
        for line in lines:
            stamp, payload = line.split(" ", 1)
            self.heard[json.loads(payload)["id"]] = float(stamp) - offset

    def latencies(self) -> list[float]:
        """Seconds from the last sample of the deciding window to the message."""
        samples = [sample for sample, _ in self.written]
        return [
            self.heard[key] - self.written[bisect.bisect_left(samples, sample)][1]
            for key, sample in self.deciding.items()
            if key in self.heard
        ]


def birds(count: int) -> NDArray[np.float64]:
    """Songs of three species in turn, so that each has long been silent when it sings again."""
    import chorus  # type: ignore[import-not-found] # a script beside this one

    songs = (chorus.CHICKADEE, chorus.GREAT_TIT, chorus.CUCKOO)
    sound = np.random.default_rng(1).normal(0, 0.001, count * SLOT_SECONDS * RATE)
    # Starts at odd moments: none of them lies on the grid of the windows.
    for slot in range(count):
        song = songs[slot % 3]
        notes = chorus.sing(song, round(6 / song.seconds))
        start = slot * SLOT_SECONDS * RATE + 13 * slot * RATE // 100
        sound[start : start + len(notes)] += 0.25 * notes[: len(sound) - start]
    return sound


def main() -> None:
    """Measure and print."""
    if missing():
        sys.exit(missing())
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    watch = Watch()
    watch.install()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        soundfile.write(folder / "birds.wav", birds(count), RATE)
        with Mosquitto(folder) as broker:
            config = folder / "config.yaml"
            config.write_text(CONFIG.format(folder=folder, port=broker.port, user=USER, password=PASSWORD))
            words = ["-h", "localhost", "-p", str(broker.port), "-u", USER, "-P", PASSWORD]
            words += ["-q", "1", "-F", "%U %p", "-t", "birdwatchd/bench"]
            subscriber = subprocess.Popen(["mosquitto_sub", *words], stdout=subprocess.PIPE, text=True)
            offset = time.time() - time.monotonic()
            threading.Thread(target=watch.listen, args=(subscriber.stdout, offset), daemon=True).start()
            loaded = load(config, actions=schemas())
            set_up(loaded.config.log, Secrets(loaded.config))
            run(loaded, Listeners(detection=watch.detection, window=watch.window), lambda _: None)
            time.sleep(1)
            subscriber.terminate()
            subscriber.wait()
    milliseconds = 1000 * np.array(watch.latencies())
    table = Table(
        title=f"Sound to message: {len(milliseconds)} of {len(watch.deciding)} detections told, BirdNET"
    )
    for heading in ("", "birdwatchd", "wanted", "record, then look"):
        table.add_column(heading)
    for percent, wanted, loop in ((50, 50, 1500), (99, 150, 2970)):
        figure = float(np.percentile(milliseconds, percent))
        table.add_row(
            f"p{percent}", f"{figure:.0f} ms", f"≤ {wanted} ms", f"{loop} ms and the classifier's time"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
