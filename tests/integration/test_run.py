"""The real daemon as its user starts it: a process, a config, a model, sound, a database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from tests.integration.soundserver import SoundServer, needs_sound_server
from tests.shared import SHARED, needs_shared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIRDWATCHD = [sys.executable, "-m", "birdwatchd"]
RATE = 48000


def tone(hertz: float, seconds: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def noise(seconds: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(1).normal(0, 0.003, round(seconds * RATE))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Half a minute: the high tone at 9 s, the low one at 21 s."""
    path = tmp_path / "20260501_043000.wav"
    sound = noise(30)
    sound[9 * RATE : 12 * RATE] += tone(4000, 3)
    sound[21 * RATE : 24 * RATE] += tone(1000, 3)
    soundfile.write(path, sound, RATE)
    return path


@pytest.fixture
def config(tmp_path: Path, tiny_bundle: Path, recording: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"""\
node: wood
model:
  bundle: {tiny_bundle}
location:
  latitude: 52.5
  longitude: 13.4
  timezone: Europe/Berlin
deciding:
  include: [Low Tone]
sources:
  - name: garden
    kind: recording
    path: {recording}
    speed: fast
store:
  database: {tmp_path / "birds.sqlite"}
"""
    )
    return path


MICROPHONE = """\
model:
  bundle: {bundle}
sources:
  - name: garden
    kind: microphone
store:
  database: {database}
"""


def birdwatchd(*arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*BIRDWATCHD, *map(str, arguments)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def detections(config: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(birdwatchd("detections", "-c", config, "--json").stdout)
    return found


def log_lines(stderr: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]


def test_a_recording_becomes_detections_in_the_database(config: Path) -> None:
    log = log_lines(birdwatchd("run", "-c", config).stderr)
    assert [line["species"] for line in log if line["event"] == "detection"] == ["High Tone", "Low Tone"]
    high, low = detections(config)
    assert (high["common_name"], low["common_name"]) == ("High Tone", "Low Tone")
    # The name is an AudioMoth's, so UTC; told in the station's own zone. The segment from 7.5 s holds half of the tone.
    assert high["start"] == "2026-05-01T06:30:07.500+02:00"
    assert high["site"] == "wood"
    assert {high["state"], low["state"]} == {"ended"}


def test_the_same_recording_twice_is_the_same_detections(config: Path) -> None:
    birdwatchd("run", "-c", config)
    first = [found["id"] for found in detections(config)]
    birdwatchd("run", "-c", config)
    assert [found["id"] for found in detections(config)] == first


def test_the_ledger_holds_the_whole_recording(config: Path) -> None:
    birdwatchd("run", "-c", config)
    rows = json.loads(birdwatchd("ledger", "-c", config, "--json").stdout)
    assert "30" in json.dumps(rows)


def test_why_names_the_gate(config: Path) -> None:
    config.write_text(config.read_text().replace("include: [Low Tone]", "threshold: 0.7"))
    birdwatchd("run", "-c", config)
    assert [found["common_name"] for found in detections(config)] == ["High Tone"]
    answer = birdwatchd("why", "2026-05-01T04:30:22Z", "-c", config).stdout
    assert "Low Tone" in answer
    assert "not expected here this week" in answer


def test_two_sources_are_heard_at_once(config: Path, recording: Path) -> None:
    second = f"  - name: pond\n    kind: recording\n    path: {recording}\n    speed: fast\n    channel: 1\n"
    config.write_text(config.read_text().replace("store:", f"{second}store:"))
    birdwatchd("run", "-c", config)
    found = sorted((found["source"], found["common_name"]) for found in detections(config))
    assert found == [(s, n) for s in ("garden", "pond") for n in ("High Tone", "Low Tone")]


@pytest.fixture
def live(config: Path, recording: Path) -> Iterator[subprocess.Popen[str]]:
    """The daemon playing the recording in real time, and after it minutes of noise."""
    sound, rate = soundfile.read(recording)
    soundfile.write(recording, np.concatenate([sound, noise(270)]), rate)
    config.write_text(config.read_text().replace("speed: fast", "speed: real_time"))
    process = subprocess.Popen([*BIRDWATCHD, "run", "-c", str(config)], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


def read_until(process: subprocess.Popen[str], event: str, seconds: float = 120) -> dict[str, Any]:
    """The next log line of that name."""
    assert process.stderr is not None
    deadline = time.monotonic() + seconds
    said = []
    for line in process.stderr:
        said.append(line)
        assert time.monotonic() < deadline, f"no {event} within {seconds} s"
        if line.startswith("{") and json.loads(line)["event"] == event:
            found: dict[str, Any] = json.loads(line)
            return found
    raise AssertionError(f"the daemon ended without {event}: {''.join(said)}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(live: subprocess.Popen[str], config: Path, number: signal.Signals) -> None:
    read_until(live, "detection")
    live.send_signal(number)
    assert live.wait(120) == 0
    found = detections(config)
    assert found[0]["common_name"] == "High Tone"
    assert {one["state"] for one in found} == {"ended"}


SUMMARY_OVERTAKEN = """
import datetime, sys, threading
from birdwatchd.__main__ import main
from birdwatchd.domain import DailySummary
from birdwatchd.store.summary import Summaries

note, close, closed = Summaries.note, Summaries.close, threading.Event()

def due(self, now):
    return DailySummary("wood", datetime.date(2026, 4, 30), ())

def note_late(self, told):
    print('{"event": "at the summary"}', file=sys.stderr, flush=True)
    assert closed.wait(60)
    note(self, told)

def close_and_tell(self):
    close(self)
    closed.set()

Summaries.due, Summaries.note, Summaries.close = due, note_late, close_and_tell
try:
    main()
finally:
    for thread in threading.enumerate():
        if thread.name == "schedule":  # nobody waits for it, but this test
            thread.join(60)
"""


def test_scheduled_work_that_the_stop_overtakes_is_no_failure(config: Path) -> None:
    config.write_text(config.read_text().replace("speed: fast", "speed: real_time"))
    command = [sys.executable, "-c", SUMMARY_OVERTAKEN, "run", "-c", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            read_until(process, "at the summary")
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "Traceback" not in said
    assert "scheduled work was cut short" in [line["event"] for line in log_lines(said)]


def test_what_a_killed_daemon_left_open_is_ended_by_the_next(
    live: subprocess.Popen[str], config: Path
) -> None:
    started = read_until(live, "detection")
    os.kill(live.pid, signal.SIGKILL)
    live.wait()
    config.write_text(config.read_text().replace("speed: real_time", "speed: fast"))
    birdwatchd("run", "-c", config)
    assert started["id"] in [found["id"] for found in detections(config)]
    assert {found["state"] for found in detections(config)} == {"ended"}


def test_a_second_daemon_on_the_same_database_refuses(live: subprocess.Popen[str], config: Path) -> None:
    read_until(live, "listening")
    refused = birdwatchd("run", "-c", config, status=2)
    assert len([line for line in refused.stderr.splitlines() if line.startswith("birdwatchd: ")]) == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("threshold: 0.7", "threshold: 1.5", "threshold"),
        ("threshold: 0.7", "min_hits: 4", "min_hits"),
        ("node: wood", "node: wood\nhop_seconds: 4", "hop_seconds"),
        ("kind: recording", "kind: recordin", "recording"),
        ("bundle: ", "bundle: /nowhere", "/nowhere"),
        ("path: ", "path: /nowhere", "/nowhere"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(config: Path, old: str, new: str, words: str) -> None:
    config.write_text(config.read_text().replace("include: [Low Tone]", "threshold: 0.7").replace(old, new))
    refused = birdwatchd("run", "-c", config, status=2)
    assert words in refused.stderr


@needs_sound_server
@needs_shared
def test_a_microphone_is_heard_by_the_real_model(birdnet_bundle: Path, tmp_path: Path) -> None:
    """A real sound server plays a real recording to the real daemon."""
    config = tmp_path / "config.yaml"
    config.write_text(MICROPHONE.format(bundle=birdnet_bundle, database=tmp_path / "birds.sqlite"))
    with SoundServer(tmp_path) as server:
        daemon = subprocess.Popen(
            [*BIRDWATCHD, "run", "-c", str(config)],
            stderr=subprocess.PIPE,
            text=True,
            env={**server.environment, "HOME": os.environ["HOME"]},
        )
        try:
            read_until(daemon, "listening")
            server.play(SHARED / "soundscapes" / "monitoR_survey.wav")
            heard = set[str]()
            while not {"Ovenbird", "Black-throated Green Warbler"} <= heard:
                heard.add(read_until(daemon, "detection")["species"])
            daemon.terminate()
            assert daemon.wait(120) == 0
        finally:
            daemon.kill()
            daemon.wait()
            assert daemon.stderr is not None
            daemon.stderr.close()
    assert heard <= {found["common_name"] for found in detections(config)}
