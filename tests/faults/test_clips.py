"""A disk that is full while clips are written: nothing half-written, and on it goes when there is room again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from birdwatchd.actions import Postpone
from birdwatchd.audio.clips import Sound
from birdwatchd.audio.clock import FileClock
from birdwatchd.audio.continuous import Tape
from birdwatchd.audio.ring import Ring
from tests.doubles import DAWN, FakeContext, sample_delivery, sample_detection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATE = 48000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """One megabyte."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a tmpfs")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize("form", ["flac", "wav", "ogg"])
def test_a_full_disk_keeps_no_half_of_a_clip(small_disk: Path, form: str) -> None:
    from birdwatchd.actions.save_clip import SaveClip
    from birdwatchd.domain import Clip

    samples = np.random.default_rng(1).normal(0, 0.1, 3 * RATE).astype(np.float32)
    clip = Clip("garden", 0, len(samples), DAWN, RATE, samples, (), voice=False)
    action = SaveClip(SaveClip.Config.model_validate({"name": "keep", "kind": "save_clip", "format": form}))
    kept, refused = 0, list[str]()
    for number in range(40):
        detection = sample_detection(start_sample=RATE, end_sample=2 * RATE, clip_path=f"day/{number}")
        context = FakeContext(
            clips_folder=small_disk, delivery=sample_delivery(detection=detection), sound=clip
        )
        try:
            action.run(detection, context)
            kept += 1
        except Postpone as error:
            refused.append(str(error))
    assert kept
    assert all("No space left on device" in why for why in refused)
    assert refused
    found = sorted(path.name for path in (small_disk / "day").iterdir())
    assert len(found) == 3 * kept
    for path in (small_disk / "day").glob(f"*.{form}"):
        assert soundfile.info(path).frames == 3 * RATE
    # Room again: the delivery that was put off is done.
    for path in (small_disk / "day").iterdir():
        path.unlink()
    action.run(detection, context)
    assert len(list((small_disk / "day").iterdir())) == 3


CONFIG = """\
model:
  bundle: {bundle}
sources:
  - {{name: garden, kind: recording, path: {recording}, speed: fast}}
actions:
  - {{name: keep, kind: save_clip, timeout_seconds: 5}}
  - {{name: tell, kind: log}}
deciding:
  species_range: {{enabled: false}}
store:
  database: {folder}/birds.sqlite
  clips_folder: {clips}
  continuous: true
  retention: {{free_gigabytes: 0}}
"""


def test_a_full_disk_stops_clips_not_listening(small_disk: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    """The disk of the clips holds less than one: every detection is recorded, every other action acts."""
    (small_disk / "film.mp4").write_bytes(bytes(900_000))
    sound = np.random.default_rng(1).normal(0, 0.02, 40 * RATE)
    at = np.arange(3 * RATE) / RATE
    for start in (9, 27):
        sound[start * RATE : (start + 3) * RATE] += 0.5 * np.sin(2 * np.pi * 4000 * at)
    recording, config = tmp_path / "20260501_043000.wav", tmp_path / "config.yaml"
    soundfile.write(recording, sound, RATE)
    config.write_text(
        CONFIG.format(bundle=tiny_bundle, recording=recording, folder=tmp_path, clips=small_disk)
    )
    birdwatchd = [sys.executable, "-m", "birdwatchd"]
    done = subprocess.run(
        [*birdwatchd, "run", "-c", config], capture_output=True, text=True, timeout=180, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    log = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert len([line for line in log if line["event"] == "acted"]) == 2, done.stderr
    assert "continuous recording pauses" in {line["event"] for line in log}
    found = subprocess.run(
        [*birdwatchd, "detections", "-c", config, "--json"], capture_output=True, check=True
    ).stdout
    assert [one["state"] for one in json.loads(found)] == ["ended", "ended"]
    ledger = subprocess.run(
        [*birdwatchd, "ledger", "-c", config, "--json"], capture_output=True, check=True
    ).stdout
    (hour,) = json.loads(ledger)
    assert (hour["captured_seconds"], hour["analysed_seconds"], hour["lost_seconds"]) == (40.0, 40.0, {})
    assert [path.name for path in small_disk.rglob("*") if path.is_file()] == ["film.mp4"]
    assert (small_disk / "film.mp4").stat().st_size == 900_000


def test_a_disk_that_fills_up_in_an_hour_costs_only_what_did_not_fit(small_disk: Path) -> None:
    class Generous:
        def make_room(self, size: int) -> str:
            return ""

        def wrote(self, size: int) -> None:
            """No matter."""

    ring, clock = Ring(60 * RATE, RATE), FileClock(RATE)
    clock.anchor(0, DAWN)
    tape = Tape(small_disk / "garden", Generous(), node="wood")
    played = np.random.default_rng(1).integers(-8000, 8000, 40 * RATE).astype(np.int16)
    film = small_disk / "film.mp4"
    film.write_bytes(bytes(300_000))
    for second in range(40):
        if second == 30:
            film.unlink()  # and there is room again
        ring.write((played[second * RATE : (second + 1) * RATE] / 32768).astype(np.float32))
        tape.take(Sound("garden", ring, clock, ring.written, (), ()))
    tape.close()
    files = sorted(small_disk.rglob("*.flac"))
    assert len(files) > 1
    seconds = 0.0
    for path in files:
        said = json.loads(path.with_suffix(".json").read_text())["recording"]
        sound, _ = soundfile.read(path, dtype="int16")
        first = said["first_sample"]
        assert np.array_equal(sound, played[first : first + len(sound)])
        seconds += len(sound) / RATE
    assert 8 < seconds < 35
    assert first >= 30 * RATE
    assert not list(small_disk.rglob(".*"))
