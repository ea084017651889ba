"""Listening hours of the real daemon: a recording is heard at the hours that it was made in."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import soundfile

from tests.integration.test_run import RATE, birdwatchd, detections, noise, tone

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
model:
  bundle: {bundle}
location:
  latitude: 52.5
  longitude: 13.4
  timezone: Europe/Berlin
listening: [{hours}]
sources:
  - name: garden
    kind: recording
    path: {recording}
    speed: fast
  - name: pond
    kind: recording
    path: {recording}
    speed: fast
    listening: [00:00..24:00]
actions:
  - name: keep
    kind: save_clip
    after_seconds: 3
store:
  database: {folder}/birds.sqlite
  clips_folder: {folder}/clips
"""


@pytest.mark.parametrize(
    # Sunset is at 20:32:50 on that day; the recording begins at 20:29:30, with a tone every half minute from 20:29:45 on.
    "hours",
    ["20:30..20:31", "sunset-2m..sunset-1m"],
)
def test_only_what_sounds_in_its_hours_is_analysed(tmp_path: Path, tiny_bundle: Path, hours: str) -> None:
    recording = tmp_path / "20260501_182930.wav"  # UTC, as AudioMoth names them
    sound = noise(180)
    for second in range(15, 180, 30):
        sound[second * RATE : (second + 3) * RATE] += tone(4000, 3)
    soundfile.write(recording, sound, RATE)
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(bundle=tiny_bundle, hours=hours, recording=recording, folder=tmp_path))
    birdwatchd("run", "-c", config)
    found = detections(config)
    heard = {
        name: [datetime.fromisoformat(one["start"]) for one in found if one["source"] == name]
        for name in ("garden", "pond")
    }
    assert (len(heard["garden"]), len(heard["pond"])) == (2, 6)
    # Its segments begin with the hours, so it has the same tones a little earlier or later.
    for start in heard["garden"]:
        assert min(abs(start - other) for other in heard["pond"]) <= timedelta(seconds=2)
    assert {one["state"] for one in found} == {"ended"}
    rows: list[dict[str, Any]] = json.loads(
        birdwatchd("ledger", "-c", config, "--json", "--since", "2026-05-01", "--by", "day").stdout
    )
    garden, pond = rows
    assert (garden["source"], pond["source"]) == ("garden", "pond")
    assert garden["expected_seconds"] == garden["captured_seconds"] == pytest.approx(180)
    assert garden["lost_seconds"] == {}
    rested = garden["skipped_seconds"]["not listening hours"]
    assert rested + garden["analysed_seconds"] == pytest.approx(180, abs=1.5)
    assert 108 < rested <= 121  # a window and a hop at either end belong to what is inside
    assert "not listening hours" not in pond["skipped_seconds"]
    assert len(list((tmp_path / "clips").rglob("*.flac"))) == len(found)
