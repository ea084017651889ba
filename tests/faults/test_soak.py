"""The soak itself, for a minute: that it runs, that the books are right, and that it would say so if they were not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile

from birdwatchd.store.database import Database
from birdwatchd.store.recorder import Recorder
from tests.integration import mosquitto
from tests.rows import detection, entry
from tests.soak.clips import UNKNOWN, clip_offset
from tests.soak.clock import Clock
from tests.soak.sound import RATE, Scene
from tests.soak.trial import Trial
from tests.soak.truth import judge

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: apt-get install gcc libc6-dev"),
]
needs_the_world = pytest.mark.skipif(
    bool(mosquitto.missing()) or shutil.which("ffmpeg") is None,
    reason=mosquitto.missing() or "no ffmpeg: apt-get install ffmpeg",
)

HARMS = ("daemon killed", "broker killed", "web server fails", "stream server killed", "database locked")


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path, 12)


@needs_the_world
@pytest.mark.timeout(600)
def test_a_quarter_of_an_hour_with_a_fault_a_minute_loses_nothing(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.soak", "--hours", "0.25", "--speed", "8", "--fault-every", "90"]
    chosen = [word for harm in HARMS for word in ("--fault", harm)]
    report = tmp_path / "report.md"
    done = subprocess.run(
        [*words, *chosen, "--report", report],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = report.read_text()
    assert "All of it holds" in text
    for harm in HARMS:
        assert f"| {harm} |" in text, text


EVERY_WAIT = """
import contextlib, select, selectors, socket, sys, threading, time
def seconds(wait):
    began, began_wall = time.monotonic(), time.time()
    wait()
    return time.monotonic() - began, time.time() - began_wall
def poll():
    selector = selectors.DefaultSelector()
    ours, theirs = socket.socketpair()
    selector.register(ours, selectors.EVENT_READ)
    selector.select(6)
def receive():
    ours, theirs = socket.socketpair()
    ours.settimeout(6)
    with contextlib.suppress(TimeoutError):
        ours.recv(1)
for wait in (lambda: time.sleep(6), lambda: threading.Event().wait(6), lambda: select.select([], [], [], 6), poll, receive):
    for found in seconds(wait):
        assert found > 5.9, found
"""


def test_every_way_to_wait_lives_by_the_other_clock(clock: Clock) -> None:
    """Five waits of six seconds, as the process sees it, are done in a few of ours."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", EVERY_WAIT], env=clock.environment, check=True, timeout=60)
    assert time.monotonic() - began < 5 * 6


def test_a_step_moves_the_date_and_not_the_time(clock: Clock) -> None:
    ask = [sys.executable, "-c", "import time; print(time.time(), time.monotonic())"]

    def told() -> tuple[float, float]:
        out = subprocess.run(ask, env=clock.environment, check=True, capture_output=True, text=True).stdout
        wall, monotonic = map(float, out.split())
        return wall - clock.now, monotonic - time.monotonic() * clock.speed

    assert told()[0] == pytest.approx(0, abs=30)
    clock.step(-86_400)
    wall, monotonic = told()
    assert wall == pytest.approx(-86_400, abs=30)
    assert monotonic == pytest.approx(0, abs=30)


def test_the_sound_is_the_same_however_it_is_asked_for() -> None:
    scene = Scene("tiny", 1, "garden")
    visit = scene.visit(2)
    whole = scene.sound(visit.start - RATE, visit.stop + RATE)
    pieces = [scene.sound(at, at + 4801) for at in range(visit.start - RATE, visit.stop, 4801)]
    joined = [int(sample) for piece in pieces for sample in piece]
    assert joined[: len(whole)] == [int(sample) for sample in whole[: len(joined)]]
    assert max(joined) > 8000
    assert max(scene.sound(visit.start - RATE, visit.start)) < 300


def judged(
    folder: Path, clock: Clock, *, heard_elsewhere: str = "", given_up: str = "", seconds: float = 100.0
) -> dict[str, bool]:
    """What is said of a database with one detection and a minute and a half of sound."""
    with Database.open(folder / "birdwatchd.sqlite") as database:
        recorder = Recorder(database, run_id="run-1")
        one = detection(60, source="garden")
        recorder.record(one)
        recorder.account(
            [entry(90.0, "expected"), entry(90.0), entry(90.0, "analysed"), entry(10.0, "off", "died")]
        )
        recorder.close()
    told = [{"event": "detection", "id": identity} for identity in (one.id, heard_elsewhere) if identity]
    told += [{"event": "detection lost", "id": given_up}] if given_up else []
    (folder / "daemon.log").write_text("".join(json.dumps(line) + "\n" for line in told))
    (folder / "garden.sent").write_text(f"0 {95 * RATE}\n")
    world: Any = SimpleNamespace(
        folder=folder,
        database=folder / "birdwatchd.sqlite",
        clips=folder / "clips",
        sources=["garden"],
        scenes={"garden": Scene("tiny", 1, "garden")},
        clock=clock,
        subscriber=SimpleNamespace(heard={}),
        broker_kills=[],
    )
    keeper: Any = SimpleNamespace(lives=[(0.0, seconds, "SIGKILL")])
    verdict = judge(Trial(world, keeper, [], 0.0, seconds))
    return {finding.claim: finding.holds for finding in verdict.findings}


TOLD = "Every detection that anybody was told of is in the database"
TIME = "garden: heard + lost + not running = the time that went by"


def test_what_is_missing_is_found(tmp_path: Path, clock: Clock) -> None:
    found = judged(tmp_path, clock)
    assert found[TOLD]
    assert found[TIME]
    assert not found["Every detection has all its deliveries"]


def test_a_detection_that_was_told_and_is_gone_is_found(tmp_path: Path, clock: Clock) -> None:
    assert not judged(tmp_path, clock, heard_elsewhere="0" * 20)[TOLD]


def test_one_that_the_disk_did_not_take_stands_in_the_log(tmp_path: Path, clock: Clock) -> None:
    assert judged(tmp_path, clock, heard_elsewhere="0" * 20, given_up="0" * 20)[TOLD]


def test_a_clip_of_a_microphone_is_held_against_what_was_played_where_the_player_was_in_time(
    tmp_path: Path,
) -> None:
    scene = Scene("tiny", 1, "balcony")
    path = tmp_path / "clip.flac"
    soundfile.write(path, scene.sound(100 * RATE, 105 * RATE), RATE)
    for steady, dated, offset in (((90.0, 110.0), 108.0, 8.0), ((90.0, 110.0), 150.0, UNKNOWN)):
        player: Any = SimpleNamespace(
            was_steady=lambda start, stop, span=steady: span[0] <= start and stop <= span[1]
        )
        world: Any = SimpleNamespace(streams=[], scenes={"balcony": scene}, player=player)
        assert clip_offset(world, "balcony", path, dated) == pytest.approx(offset)
    soundfile.write(path, scene.sound(400 * RATE, 405 * RATE)[::-1], RATE)
    assert clip_offset(world, "balcony", path, 100.0) is None


def test_a_minute_that_nobody_accounts_for_is_found(tmp_path: Path, clock: Clock) -> None:
    assert not judged(tmp_path, clock, seconds=160.0)[TIME]


def test_a_bird_that_was_not_heard_is_found(tmp_path: Path, clock: Clock) -> None:
    found = judged(tmp_path, clock, seconds=900.0)
    assert not found["Every bird that sang undisturbed is in the database, at its time"]
