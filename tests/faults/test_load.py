"""Too many birds, too many microphones, too slow a model: sound is never held up, and what is skipped is counted."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import structlog

from birdwatchd.audio.clock import FileClock
from birdwatchd.audio.ring import Ring
from birdwatchd.audio.windows import Plan
from birdwatchd.config.schema import Deciding
from birdwatchd.detection.decider import Decider, Rules
from birdwatchd.detection.detector import Naming
from birdwatchd.detection.species_range import Nowhere
from birdwatchd.domain import Label
from birdwatchd.pipeline import Listeners, Pipeline
from birdwatchd.store.ledger import between
from tests.acting import Batches, config, post
from tests.faults.station import Balance, Station, elapsed, tell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from birdwatchd.domain import Scores, Window

pytestmark = pytest.mark.long

RATE = 500
START = datetime(2026, 5, 1, 4, 0, tzinfo=UTC)
PLAN = Plan(window_seconds=6.0, hop_seconds=1.5, sample_rate=RATE, input_samples=3 * RATE)
SOURCES = 32
SPECIES = 300
AT_ONCE = 15
"""So many call at the same time at each source."""
HOUR = 3600
FASTER = 60
RING_SECONDS = 75


class Dawn:
    """A stand-in for a model: the level of a segment says which of the species call. It takes its time."""

    def classify(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        time.sleep(len(segments) / 400)  # a third of what comes, at most
        scores = np.full((len(segments), SPECIES), 0.01, np.float32)
        for row, loudest in zip(scores, segments.max(axis=1), strict=True):
            first = round(float(loudest) * 100) * AT_ONCE % SPECIES
            row[first : first + AT_ONCE] = 0.9
        return scores


class Live:
    """A source that does not wait for anybody, as a microphone does not."""

    def __init__(self, number: int) -> None:
        self.name = f"mic{number}"
        self.site = ""
        self.ring = Ring(RING_SECONDS * RATE, RATE)
        clock = FileClock(RATE)
        clock.anchor(0, START)
        self.clock = clock
        self.finished = False
        self.fault = ""
        self._number = number

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def hear(self, second: int) -> None:
        """A second: others call every minute, and others at each source."""
        level = 0.01 * (1 + (second // 60 + self._number) % (SPECIES // AT_ONCE))
        self.ring.write(np.tile([level, -level], RATE // 2).astype(np.float32))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_hour_with_hundreds_of_species_at_32_sources_and_too_slow_a_model(  # noqa: PLR0915 - one hour, one story
    tmp_path: Path,
) -> None:
    labels = tuple(Label(index, f"Avis {index}", f"Bird {index}") for index in range(SPECIES))
    sources = [Live(number) for number in range(SOURCES)]
    rules = Rules(Deciding(), labels)
    windows: dict[str, int] = defaultdict(int)
    latest: list[float] = []

    def count(window: Window, _scores: Scores) -> None:
        windows[window.source] += 1
        source = sources[int(window.source.removeprefix("mic"))]
        latest.append((source.ring.written - window.stop_sample) / RATE)

    def play() -> None:
        """All microphones, in their own time."""
        began = time.monotonic()
        for second in range(HOUR):
            for source in sources:
                source.hear(second)
            pipeline.wake()
            time.sleep(max(0.0, began + (second + 1) / FASTER - time.monotonic()))
        for source in sources:
            source.finished = True

    with (
        structlog.testing.capture_logs() as log,
        post(tmp_path / "birds.sqlite", Batches(config())) as station,
    ):
        pipeline = Pipeline(
            Dawn(),
            station.recorder,
            PLAN,
            labels=SPECIES,
            batch_limit=8,
            listeners=Listeners(window=count),
        )
        for source in sources:
            naming = Naming("run-1", source.name, "", "dawn-1")
            pipeline.add(source, Decider(rules, Nowhere(), naming))
        players = threading.Thread(target=play, daemon=True)
        working = threading.Thread(target=pipeline.run, daemon=True)
        running = elapsed()
        players.start()
        working.start()
        players.join(HOUR / FASTER / 3)
        memory = resident_bytes()
        working.join(600)
        assert not working.is_alive()
        seconds = running()
        grown = resident_bytes() - memory
        assert station.recorder.close()
        entries = between(station.database)
        (row,) = station.database.rows(
            "SELECT count(*) AS found, count(DISTINCT scientific_name) AS species,"
            " sum(state != 'ended') AS open FROM detections"
        )
        (made,) = station.database.rows("SELECT count(*) AS made FROM deliveries")
    balances: dict[str, Balance] = defaultdict(Balance)
    for entry in entries:
        balances[entry.source].add(entry.kind, entry.cause, entry.seconds)
    tell(
        f"{SOURCES} sources, {row['species']} species, {row['found']} detections, {made['made']} deliveries, "
        f"memory +{grown >> 20} MiB, age of what is analysed {np.median(latest):.0f} s",
        mic0=balances["mic0"],
        mic31=balances["mic31"],
    )
    assert len(balances) == SOURCES
    for found in balances.values():
        assert found.expected == pytest.approx(HOUR, abs=0.1), found
        assert found.captured == pytest.approx(HOUR, abs=0.1), found
        assert found.captured == pytest.approx(found.analysed + sum(found.skipped.values()), abs=0.1)
        assert set(found.skipped) <= {"too slow", "remainder"}
        assert found.skipped["too slow"] > HOUR / 3
    # Nobody starves: each is analysed for its share, in whole windows.
    analysed = [found.analysed for found in balances.values()]
    assert min(analysed) > 0.5 * sum(analysed) / SOURCES
    assert min(windows.values()) > 20
    assert len(windows) == SOURCES
    # Oldest first: what is analysed is fresh. (It is looked at when a batch is through, which takes a while.)
    assert np.median(latest) < RING_SECONDS
    assert row["species"] > 200
    assert row["open"] == 0
    assert made["made"] == row["found"]
    # Repeats are counted, not told.
    slow = [event for event in log if event["event"] == "too slow, sound was skipped"]
    assert SOURCES <= len(slow) <= SOURCES * (seconds / 60 + 1)
    assert grown < 64 << 20, f"{grown >> 20} MiB"


STREAMS = "".join(
    f"""\
  - name: mic{number}
    kind: stream
    url: anoisesrc=color=pink:sample_rate=8000:amplitude=0.3:seed={number}
    sample_rate: 8000
    ffmpeg_options: [-re, -f, lavfi]
"""
    for number in range(SOURCES)
)


def test_32_streams_and_too_slow_a_model_in_the_whole_daemon(tmp_path: Path) -> None:
    """Real children, real pipes, a real bundle: no sample of theirs is lost, however far the model is behind."""
    with Station(tmp_path, slow_bundle(tmp_path / "slow.pt"), STREAMS) as station:
        station.start()
        station.wait_for("stream open", times=SOURCES, seconds=120)
        opened = elapsed()
        time.sleep(60)
        heard = opened()
        station.stop()
        balances = station.ledger()
        slow = station.events("too slow, sound was skipped")
    tell(f"heard for {heard:.1f} s by the stopwatch", mic0=balances["mic0"], mic31=balances["mic31"])
    assert len(balances) == SOURCES
    for found in balances.values():
        assert set(found.causes) <= {"connecting"}, found
        assert found.captured > heard - 2, found
        assert found.expected == pytest.approx(found.captured + sum(found.lost.values()), abs=0.01)
        assert found.captured == pytest.approx(found.analysed + sum(found.skipped.values()), abs=0.1)
        assert found.analysed > 0, found
        assert found.skipped["too slow"] > 0, found
    assert len(slow) <= 3 * SOURCES


def slow_bundle(path: Path) -> Path:
    """A real bundle that does more than it has to: a tenth of a second and more for each segment."""
    import torch

    from birdwatchd.model.saving import save
    from tests.tiny import CARD, Tiny, trace

    class Slow(Tiny):
        def forward(self, waveform: torch.Tensor) -> torch.Tensor:
            work = waveform.mean(dim=1)[:, None, None] + torch.eye(900)  # (batch, 900, 900)
            for _ in range(6):
                work = torch.tanh(work @ work)
            scores: torch.Tensor = super().forward(waveform) + 0 * work.mean()
            return scores.clamp(0, 1)

    samples = CARD.input_samples
    save(trace(Slow(samples), "forward", "embed", example=torch.zeros(2, samples)), path, CARD, {})
    return path
