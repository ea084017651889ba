"""The real daemon keeps what it heard: the very samples, a sidecar, a picture, and all of it when asked to."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

RATE = 48000


def tone(hertz: float, seconds: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Forty seconds: the high tone at 9 s, again at 27 s, and a person at 33 s."""
    path = tmp_path / "20260501_043000.wav"
    sound = np.random.default_rng(1).normal(0, 0.003, 40 * RATE)
    sound[9 * RATE : 12 * RATE] += tone(4000, 3)
    sound[27 * RATE : 30 * RATE] += tone(4000, 3)
    sound[33 * RATE : 36 * RATE] += tone(300, 3)
    soundfile.write(path, sound, RATE, subtype="PCM_16")
    return path


CONFIG = """\
node: wood
model:
  bundle: {bundle}
location: {{latitude: 52.5, longitude: 13.4, timezone: Europe/Berlin}}
sources:
  - {{name: garden, kind: recording, path: {recording}, speed: fast}}
actions:
  - name: keep
    kind: save_clip
    before_seconds: 2
    after_seconds: 4
    {settings}
store:
  database: {folder}/birds.sqlite
  clips_folder: {folder}/clips
  {store}
"""


def run(tmp_path: Path, bundle: Path, recording: Path, settings: str = "", store: str = "") -> Path:
    """Start the daemon on the recording; gives the clips folder."""
    config = tmp_path / "config.yaml"
    config.write_text(
        CONFIG.format(bundle=bundle, recording=recording, folder=tmp_path, settings=settings, store=store)
    )
    command = [sys.executable, "-m", "birdwatchd", "run", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return tmp_path / "clips"


def ask(tmp_path: Path, *arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "birdwatchd", *arguments, "-c", str(tmp_path / "config.yaml"), "--json"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
    found: list[dict[str, Any]] = json.loads(said)
    return found


def test_a_detections_clip_is_the_very_sound_and_a_persons_is_not_kept(
    tmp_path: Path, tiny_bundle: Path, recording: Path
) -> None:
    clips = run(tmp_path, tiny_bundle, recording)
    first, second = ask(tmp_path, "detections")
    # 7.5 s into a file that began at 04:30 UTC, in the station's zone, with the start of the id.
    assert first["clip_path"] == f"2026/05/01/High_Tone_06-30-07_garden_{first['id'][:8]}"
    assert second["clip_path"]
    found = sorted(path.relative_to(clips).as_posix() for path in clips.rglob("*") if path.is_file())
    assert found == [first["clip_path"] + suffix for suffix in (".flac", ".json", ".png")]
    said = json.loads((clips / f"{first['clip_path']}.json").read_text())
    kept, _ = soundfile.read(clips / f"{first['clip_path']}.flac", dtype="int16")
    played, _ = soundfile.read(recording, dtype="int16")
    begin, end = said["clip"]["first_sample"], said["clip"]["last_sample"] + 1
    assert (begin, end) == (first["start_sample"] - 2 * RATE, first["end_sample"] + 4 * RATE)
    assert np.array_equal(kept, played[begin:end])
    call = kept[said["call"]["offset_samples"] :][: said["call"]["samples"]]
    assert np.array_equal(call, played[first["start_sample"] : first["end_sample"]])
    with Image.open(clips / f"{first['clip_path']}.png") as picture:
        assert picture.size[0] > 800


def test_all_that_is_heard_but_no_voice_is_recorded_when_asked_for(
    tmp_path: Path, tiny_bundle: Path, recording: Path
) -> None:
    clips = run(tmp_path, tiny_bundle, recording, store="continuous: true")
    (hour,) = (clips / "recordings" / "garden").rglob("*.flac")
    assert hour.name == "garden_20260501T043000.000Z.flac"
    kept, _ = soundfile.read(hour, dtype="int16")
    played, _ = soundfile.read(recording, dtype="int16")
    assert len(kept) == len(played)
    assert np.array_equal(kept[: 30 * RATE], played[: 30 * RATE])
    assert not kept[33 * RATE : 36 * RATE].any()
    said = json.loads(hour.with_name(hour.name.replace(".flac", ".json")).read_text())["recording"]
    assert {one["cause"] for one in said["silenced"]} == {"a person speaks"}
    assert said["samples"] == len(played)


def test_without_room_the_daemon_listens_on(tmp_path: Path, tiny_bundle: Path, recording: Path) -> None:
    clips = run(tmp_path, tiny_bundle, recording, store="retention: {gigabytes: 0.000001}")
    assert len(ask(tmp_path, "detections")) == 2
    assert not [path for path in clips.rglob("*") if path.is_file()]


def test_without_save_clip_nothing_is_named(tmp_path: Path, tiny_bundle: Path, recording: Path) -> None:
    clips = run(tmp_path, tiny_bundle, recording, settings="enabled: false")
    assert {one["clip_path"] for one in ask(tmp_path, "detections")} == {""}
    assert not clips.exists()


def test_a_long_recording_played_fast_waits_for_its_clips(tmp_path: Path, tiny_bundle: Path) -> None:
    path = tmp_path / "20260501_043000.wav"
    sound = np.random.default_rng(1).normal(0, 0.003, 300 * RATE)
    for start in range(9, 290, 40):
        sound[start * RATE : (start + 3) * RATE] += tone(4000, 3)
    soundfile.write(path, sound, RATE, subtype="PCM_16")
    clips = run(tmp_path, tiny_bundle, path, settings="picture: false")
    found = ask(tmp_path, "detections")
    assert len(found) == 8
    for one in found:
        assert (clips / f"{one['clip_path']}.flac").is_file()
