"""`birdwatchd status` of the real daemon: what a person, a program and a shell script get."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import soundfile
from prometheus_client.parser import text_string_to_metric_families as metrics

from tests.integration.test_run import BIRDWATCHD, RATE, birdwatchd, noise, read_until, tone
from tests.integration.waiting import wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """\
node: wood
model:
  bundle: {bundle}
location:
  latitude: 52.5
  longitude: 13.4
  timezone: Europe/Berlin
sources:
  - name: garden
    kind: recording
    path: {folder}/day.wav
    start: now
  - name: attic
    kind: recording
    path: {folder}/day.wav
    start: 2026-05-01T12:00:00+02:00
    listening: [13:00..14:00]
{more}
actions:
  - name: told
    kind: log
store:
  database: {folder}/birds.sqlite
  clips_folder: {folder}/clips
metrics:
  port: {port}
"""
AWAY = """\
  - name: pond
    kind: stream
    url: rtsp://listener:secret@127.0.0.1:1/none
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Path:
    folder = tmp_path_factory.mktemp("station")
    ten = noise(10)
    ten[2 * RATE : 5 * RATE] += tone(4000, 3)
    with soundfile.SoundFile(folder / "day.wav", "w", RATE, 1) as file:
        for _ in range(90):  # a quarter of an hour, which no test of these outlasts
            file.write(ten)
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(bundle=tiny_bundle, folder=folder, more="", port=free_port()))
    return path


@contextmanager
def running(config: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([*BIRDWATCHD, "run", "-c", str(config)], stderr=subprocess.PIPE, text=True)
    try:
        read_until(process, "listening")
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


@pytest.fixture(scope="module")
def daemon(config: Path) -> Iterator[subprocess.Popen[str]]:
    """One that does well, for all who only ask it."""
    with running(config) as process:
        yield process


def ask(config: Path, status: int = 0) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(birdwatchd("status", "-c", config, "--json", status=status).stdout)
    return said


def states(config: Path) -> dict[str, str]:
    return {source["name"]: source["state"] for source in ask(config, status=1)["sources"]}


def test_a_daemon_that_does_well_says_so(daemon: subprocess.Popen[str], config: Path) -> None:
    read_until(daemon, "detection")

    def is_under_way() -> bool:
        said = ask(config)
        garden, attic = said["sources"]
        retention = next(one for one in said["schedule"] if one["name"] == "retention")
        return bool(
            garden["run"]["captured"] > 5
            and garden["run"]["analysed"] > 0
            and attic["run"]["skipped"].get("not listening hours", 0) > 0
            and retention["outcome"] == "done"
        )

    wait_until(is_under_way, "the ledger was brought up to date")
    said = ask(config)
    assert (said["node"], said["faults"], said["warnings"]) == ("wood", [], [])
    assert said["process"]["pid"] == daemon.pid
    assert said["config"] == str(config)
    garden, attic = said["sources"]
    assert (garden["state"], garden["kind"], garden["hours"]) == ("listening", "recording", None)
    assert garden["detections"] >= 1
    assert -60 < garden["level_dbfs"] < 0
    assert garden["run"]["analysed"] > 0
    # It is judged by the time at which it was recorded.
    assert (attic["state"], attic["detections"]) == ("resting", 0)
    assert attic["hours"] == {"inside": False, "until": "2026-05-01T11:00:00.000+00:00"}
    assert attic["run"]["skipped"]["not listening hours"] > 0
    assert said["model"]["segments"] > 0
    assert max(said["model"]["batch_seconds"].values()) == said["model"]["batches"]
    (action,) = said["actions"]
    assert (action["name"], action["kind"], action["trouble"]) == ("told", "log", "")
    wait_until(lambda: ask(config)["actions"][0]["settled"].get("done"), "the log has it")
    jobs = {job["name"]: job for job in said["schedule"]}
    assert {"retention", "health", "daily summary", "deliveries"} <= jobs.keys()
    assert jobs["retention"]["outcome"] == "done"
    assert jobs["daily summary"]["next"].endswith(("22:01:00.000+00:00", "23:01:00.000+00:00"))
    assert said["store"]["database_bytes"] > 0
    assert said["store"]["fault"] == ""
    assert said["process"]["memory_bytes"] > 10e6


@pytest.mark.usefixtures("daemon")
def test_prometheus_and_a_watcher_are_answered_at_the_port(config: Path) -> None:
    port = int(config.read_text().rpartition("port: ")[2])

    def scrape() -> dict[str, float]:
        scraped = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
        return {sample.name: sample.value for family in metrics(scraped) for sample in family.samples}

    wait_until(lambda: scrape()["birdwatchd_classifier_segments_total"] > 0, "the first segment is counted")
    samples = scrape()
    assert samples["birdwatchd_healthy"] == 1
    assert samples["process_resident_memory_bytes"] > 10e6
    assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=30).json()["status"] == "well"


def test_a_port_that_is_taken_is_a_sentence(
    daemon: subprocess.Popen[str], config: Path, tmp_path: Path
) -> None:
    own = tmp_path / "config.yaml"
    own.write_text(config.read_text().replace(f"database: {config.parent}", f"database: {tmp_path}"))
    refused = birdwatchd("run", "-c", own, status=2).stderr
    assert refused.splitlines()[-1].startswith("birdwatchd: metrics.port: 127.0.0.1:")
    assert daemon.poll() is None


@pytest.mark.usefixtures("daemon")
def test_people_get_tables(config: Path) -> None:
    wait_until(lambda: ask(config)["sources"][1]["state"] == "resting", "it has come to where it rests")
    shown = birdwatchd("status", "-c", config).stdout
    assert shown.startswith("wood: all is well\n")
    for words in (
        "garden",
        "listening",
        "resting until 2026-05-01 13:00",
        "retention",
        "every hour",
        "free, clips take",
    ):
        assert words in shown, shown


def test_a_daemon_that_is_stopped_is_there_and_silent(daemon: subprocess.Popen[str], config: Path) -> None:
    """It hangs as a whole: that is an answer too, and no wait for ever."""
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        silent = birdwatchd("status", "-c", config, status=1).stderr
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    assert "it has not answered for 10 s" in silent
    assert len(silent.splitlines()) == 1


@pytest.mark.long
def test_with_daemons_that_come_and_go_it_knows_whom_it_asks(config: Path, tmp_path: Path) -> None:
    own = tmp_path / "config.yaml"
    text = config.read_text().partition("metrics:")[0]
    own.write_text(text.replace(f"database: {config.parent}", f"database: {tmp_path}"))
    with running(own) as first:
        assert ask(own)["process"]["pid"] == first.pid
        first.kill()
        first.wait()
        refused = birdwatchd("status", "-c", own, status=2).stderr
    assert refused.startswith("birdwatchd: no daemon runs with the database ")
    assert "birdwatchd run" in refused
    assert len(refused.splitlines()) == 1
    # What is wrong is said, and is the exit status.
    own.write_text(own.read_text().replace("sources:\n", f"sources:\n{AWAY}"))
    with running(own) as second:
        read_until(second, "stream away")
        said = ask(own, status=1)
        assert said["process"]["pid"] == second.pid
        (fault,) = said["faults"]
        assert fault.startswith("pond is away: ")
        assert "secret" not in json.dumps(said)
        shown = birdwatchd("status", "-c", own, status=1).stdout
        assert shown.startswith("wood: something is wrong\n  pond is away: ")
        # Other hours come with a reload.
        own.write_text(f"{own.read_text()}listening: [00:00..00:01]\n")
        second.send_signal(signal.SIGHUP)
        read_until(second, "reloaded")
        wait_until(lambda: states(own)["garden"] == "resting", "it keeps its hours")
        second.terminate()
        assert second.wait(120) == 0
    birdwatchd("status", "-c", own, status=2)
    assert not list(tmp_path.glob("*.sock"))
