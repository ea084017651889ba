"""What counts as getting on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from birdwatchd.service.progress import Progress

RATE = 100


class Pipeline:
    def __init__(self) -> None:
        self.heartbeat = 0.0
        self.places: dict[str, int | None] = {"garden": 0, "pond": 0}

    def analysed_to(self, source: str) -> int | None:
        return self.places[source]


def source(name: str, **more: Any) -> Any:
    ring = SimpleNamespace(sample_rate=RATE, written=0)
    return SimpleNamespace(name=name, ring=ring, fault="", finished=False, **more)


class Daemon:
    """Two sources and a pipeline, second by second."""

    def __init__(self, **more: Any) -> None:
        self.pipeline = Pipeline()
        self.garden, self.pond = source("garden", **more), source("pond")
        self.progress = Progress(self.pipeline, [self.garden, self.pond])
        self.now = 0.0

    def live(self, seconds: int, *, turns: bool = True, hears: bool = True, analyses: bool = True) -> str:
        """So many seconds of the garden; the pond is always well. What is said at the end."""
        said = ""
        for _ in range(seconds):
            self.now += 1
            if turns:
                self.pipeline.heartbeat = self.now
            if hears:
                self.garden.ring.written += RATE
            self.pond.ring.written += RATE
            if analyses:
                self.pipeline.places |= {"garden": self.garden.ring.written, "pond": self.pond.ring.written}
            said = self.progress.hangs(self.now, 30.0)
        return said


def test_all_goes_on() -> None:
    assert Daemon().live(200) == ""


def test_a_pipeline_that_does_not_turn() -> None:
    daemon = Daemon()
    assert daemon.live(30, turns=False) == ""
    assert daemon.live(1, turns=False) == "the pipeline has not turned for 31 s"
    assert daemon.live(1) == ""


def test_a_pipeline_that_turns_idly_although_sound_is_due() -> None:
    daemon = Daemon()
    daemon.live(10)
    assert daemon.live(30, analyses=False) == ""
    assert daemon.live(1, analyses=False) == "sound of garden has not been analysed for 31 s"
    assert daemon.live(1) == ""


def test_a_slow_round_is_no_standstill_but_one_that_is_left_out_for_good_is() -> None:
    daemon = Daemon()
    daemon.live(10)
    said = []
    for _ in range(301):
        daemon.pipeline.places["pond"] = daemon.pond.ring.written + RATE
        said.append(daemon.live(1, analyses=False))
    assert set(said[:-1]) == {""}
    assert said[-1] == "sound of garden has not been analysed for 301 s"
    assert daemon.live(31, analyses=False).startswith("sound of garden")


def test_a_source_that_is_away_hangs_only_when_nobody_works_on_it() -> None:
    daemon = Daemon(is_tended=True)
    daemon.live(10)
    daemon.garden.fault = "device gone"
    assert daemon.live(100, hears=False) == ""
    daemon.garden.is_tended = False
    died = "nobody looks after garden any more: its thread has died"
    assert daemon.live(1, hears=False) == died


def test_no_samples_and_nobody_says_why() -> None:
    daemon = Daemon()
    daemon.live(10)
    assert daemon.live(30, hears=False) == ""
    assert daemon.live(1, hears=False) == "no sample of garden for 31 s, and no word why"
    assert daemon.live(1) == ""


def test_a_source_that_is_away_and_says_so_is_its_ladders_business() -> None:
    daemon = Daemon()
    daemon.garden.fault = "no such device"
    assert daemon.live(3600, hears=False) == ""
    assert daemon.progress.in_words() == "listening to pond; garden is away (no such device)"
    assert daemon.live(32, hears=False, turns=False).startswith("the pipeline has not turned")


def test_all_sources_away_is_no_standstill_either() -> None:
    daemon = Daemon()
    daemon.garden.fault = daemon.pond.fault = "connection refused"
    daemon.live(3600, hears=False)
    assert daemon.progress.hangs(daemon.now, 30.0) == ""
    assert "listening" not in daemon.progress.in_words()


def test_a_fault_does_not_excuse_sound_that_waits() -> None:
    daemon = Daemon()
    daemon.garden.fault = "stalled"
    assert daemon.live(40, analyses=False) == "sound of garden has not been analysed for 39 s"


def test_a_recording_may_wait_for_its_reader() -> None:
    assert Daemon(waits=True).live(100, hears=False) == ""


@pytest.mark.parametrize("end", ["finished", "done"])
def test_a_recording_at_its_end_is_done(end: str) -> None:
    daemon = Daemon()
    daemon.live(5)
    if end == "finished":
        daemon.garden.finished = True
        assert daemon.live(100, hears=False) == ""
        assert daemon.progress.in_words() == "listening to pond"
    else:
        daemon.pipeline.places["garden"] = None
        assert daemon.live(100, hears=False, analyses=False).startswith("sound of pond")
