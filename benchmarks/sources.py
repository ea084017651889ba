"""Many live sources at once: does it keep up, and what does all but the classifier cost?

The pipeline, its classifier and its database are the daemon's. The sound cards are made up: a thread writes a block of 50 ms
into every ring 20 times a second, as PortAudio's callbacks do, of two minutes of a real garden where there is one, else
noise. What is captured, analysed and skipped is read from the ledger at the end.

Run: python benchmarks/sources.py [--sources 1 4 16 64] [--minutes 10]
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from birdwatchd.audio.clock import SampleClock
from birdwatchd.audio.intake import Intake
from birdwatchd.audio.ring import Ring
from birdwatchd.blueprint import Blueprint
from birdwatchd.config.load import load
from birdwatchd.detection.decider import Decider
from birdwatchd.pipeline import Pipeline
from birdwatchd.store.database import Database
from birdwatchd.store.recorder import Recorder
from birdwatchd.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

RATE = 48000
BLOCK = RATE // 20
SHARED = Path(os.environ.get("BIRDWATCHD_SHARED", Path(__file__).parents[2] / "shared")) / "data"
RING_SECONDS = 70.0
"""Of sound that each keeps in memory, for clips of long detections; measure for longer than that to see it."""
WANTED_SHARE = 0.10
WANTED_MB = 15


class Card:
    """A made-up sound card as a source; `feed` is what its driver would call."""

    finished = False
    fault = ""
    site = ""

    def __init__(self, name: str, ring_seconds: float, wake: Callable[[], None]) -> None:
        self.name = name
        self.ring = Ring(round(ring_seconds * RATE), RATE)
        self.clock = SampleClock(RATE)
        self._intake = Intake(self.ring, self.clock, wake)

    def start(self) -> None:
        """Nothing is to be opened."""

    def stop(self) -> None:
        """Nor closed."""

    def feed(self, block: NDArray[np.float32]) -> None:
        """A block has been captured."""
        self._intake.take(block)
        self._intake.follow()


class Timed:
    """The classifier, and the processor time of its threads."""

    def __init__(self, blueprint: Blueprint) -> None:
        self.classifier = blueprint.classifier()
        self.seconds = 0.0
        self.segments = 0
        self._lock = threading.Lock()
        call = self.classifier._call  # noqa: SLF001 - the threads' own time is known there only

        def timed(method: str, batch: NDArray[np.float32]) -> NDArray[np.float32]:
            began = time.thread_time()
            result = call(method, batch)
            spent = time.thread_time() - began
            with self._lock:
                self.seconds += spent
                self.segments += len(batch)
            return result

        self.classifier._call = timed  # type: ignore[method-assign] # noqa: SLF001 - as above


def garden() -> NDArray[np.float32]:
    """Two minutes at 48 kHz."""
    path = SHARED / "soundscapes" / "birdnet_example.flac"
    if path.is_file():
        samples: NDArray[np.float32] = soundfile.read(path, dtype="float32")[0][: 120 * RATE]
        return samples
    return np.random.default_rng(0).normal(0, 0.05, 120 * RATE).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Listened:
    """What so many sources gave, and what they cost."""

    sources: int
    seconds: float
    ledger: dict[str, float]
    """Seconds of sound by kind, of all sources."""
    processor_seconds: float
    classifier_seconds: float
    segments: int
    resident_mb: float
    """At most, in this process so far."""

    @property
    def lost_seconds(self) -> float:
        """Sound that was not analysed, nor silent."""
        return self.ledger.get("lost", 0.0) + self.ledger.get("skipped", 0.0)

    @property
    def beyond(self) -> float:
        """Processor time for all but the classifier, as a share of the classifier's."""
        return (self.processor_seconds - self.classifier_seconds) / self.classifier_seconds


def listen(count: int, seconds: float, sound: NDArray[np.float32], folder: Path) -> Listened:
    """Let so many sources be listened to for so long."""
    sources = "".join(f"  - {{kind: microphone, name: card{number}}}\n" for number in range(count))
    path = folder / f"{count}.yaml"
    path.write_text(f"sources:\n{sources}store: {{database: {folder / f'{count}.sqlite'}}}\n")
    blueprint = Blueprint.draw(load(path))
    with ExitStack() as stack:
        database = stack.enter_context(Database.open(blueprint.config.store.database))
        recorder = Recorder(database, run_id="bench", model=blueprint.model)
        timed = Timed(blueprint)
        classifier = stack.enter_context(timed.classifier)
        pipeline = Pipeline(
            classifier,
            recorder,
            blueprint.plan,
            labels=len(blueprint.card.labels),
            batch_limit=classifier.batch_limit,
            minimum_dbfs=blueprint.config.deciding.level.minimum_dbfs,
        )
        rules, occurrence, trust = blueprint.rules(), blueprint.occurrence(), Trust()
        cards = []
        for described in blueprint.config.sources:
            card = Card(
                described.name,
                max(RING_SECONDS, blueprint.ring_seconds),
                partial(pipeline.wake, described.name),
            )
            pipeline.add(card, Decider(rules, occurrence, blueprint.naming(described, "bench", trust)))
            cards.append(card)
        # As the daemon does: the first call of a model is slow.
        classifier.classify(np.zeros((classifier.batch_limit, blueprint.card.input_samples), np.float32))
        timed.seconds, timed.segments = 0.0, 0
        before = time.process_time()
        thread = threading.Thread(target=pipeline.run, daemon=True)
        thread.start()
        feed(cards, seconds, sound)
        pipeline.stop()
        thread.join()
        spent = time.process_time() - before
        recorder.close()
        kinds = dict(map(tuple, database.rows("SELECT kind, sum(seconds) FROM ledger GROUP BY kind")))
    return Listened(
        count,
        seconds,
        kinds,
        spent,
        timed.seconds,
        timed.segments,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    )


def feed(cards: list[Card], seconds: float, sound: NDArray[np.float32]) -> None:
    """Give every card its blocks in time; each begins elsewhere in the sound."""
    began = time.monotonic()
    for number in range(round(seconds * RATE / BLOCK)):
        due = began + (number + 1) * BLOCK / RATE
        time.sleep(max(0.0, due - time.monotonic()))
        for place, card in enumerate(cards):
            start = (number * BLOCK + place * 7919 * BLOCK) % (len(sound) - BLOCK)
            card.feed(sound[start : start + BLOCK])


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sources", type=int, nargs="+", default=[1, 4, 16, 64], help="how many, one after the other"
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="of each")
    arguments = parser.parse_args()
    sound = garden()
    with tempfile.TemporaryDirectory() as name:
        show(
            [listen(count, arguments.minutes * 60, sound, Path(name)) for count in arguments.sources],
            arguments.minutes,
        )


def show(rows: list[Listened], minutes: float) -> None:
    """Print the table."""
    table = Table(
        "sources", "captured", "analysed", "skipped or lost", "of the machine", "a segment",
        "beyond the classifier", "memory, at most", "each further source", box=None,
    )  # fmt: skip
    cores = len(os.sched_getaffinity(0))
    for before, one in zip([None, *rows], rows, strict=False):
        further = ""
        if before is not None and one.sources > before.sources:
            further = f"{(one.resident_mb - before.resident_mb) / (one.sources - before.sources):.1f} MB"
        table.add_row(
            str(one.sources),
            f"{one.ledger.get('captured', 0.0):.0f} s",
            f"{one.ledger.get('analysed', 0.0):.0f} s",
            f"{one.lost_seconds:.1f} s",
            f"{one.processor_seconds / one.seconds / cores:.0%}",
            f"{1000 * one.classifier_seconds / max(1, one.segments):.1f} ms",
            f"{one.beyond:.1%}",
            f"{one.resident_mb:.0f} MB",
            further,
        )
    console = Console(soft_wrap=True)
    console.print(
        f"Live sources at 48 kHz, BirdNET, hop 1.5 s, {minutes:g} minutes each, {cores} cores (wanted: 64 sources, nothing "
        f"lost in ten minutes, {WANTED_SHARE:.0%} beyond the classifier, {WANTED_MB} MB for each further source)"
    )
    console.print(table)


if __name__ == "__main__":
    main()
