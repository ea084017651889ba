"""The real daemon hears a bird, and the world hears of it: a program, a web server, a message with pictures, a camera."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from tests.integration.web import WebServer
from tests.pictures import picture

if TYPE_CHECKING:
    from pathlib import Path

RATE = 48000
CONFIG = """\
node: wood
model:
  bundle: {bundle}
sources:
  - {{name: garden, kind: recording, path: {folder}/20260501_043000.wav, speed: fast}}
actions:
  - name: clip
    kind: save_clip
    before_seconds: 1
    after_seconds: 1
  - name: lamp
    kind: command
    argv: [sh, -c, 'echo "$0 is heard"; cat > "{folder}/given"', "{{species}}"]
  - name: tell
    kind: webhook
    url: {server}/hook
    secret: wren
    on: ended
  - name: photo
    kind: camera
    mode: http
    url: {server}/picture
    pictures: 2
    interval_seconds: 0.01
  - name: phone
    kind: notify
    urls: ["json://127.0.0.1:{port}/phone"]
    attach: [clip, picture]
  - name: wrong
    kind: command
    argv: [{folder}/no-such-program]
store:
  database: {folder}/birds.sqlite
  clips_folder: {folder}/clips
"""


def run(config: Path) -> None:
    command = [sys.executable, "-m", "birdwatchd", "run", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert "wren" not in done.stderr


def test_one_bird_sets_off_everything(tmp_path: Path, tiny_bundle: Path) -> None:
    pytest.importorskip("apprise")
    sound = np.random.default_rng(1).normal(0, 0.003, 20 * RATE)
    sound[6 * RATE : 9 * RATE] += 0.3 * np.sin(2 * np.pi * 4000 * np.arange(3 * RATE) / RATE)
    soundfile.write(tmp_path / "20260501_043000.wav", sound, RATE, subtype="PCM_16")
    config = tmp_path / "config.yaml"
    with WebServer(tmp_path / "web") as server:
        server.shows(picture())
        config.write_text(
            CONFIG.format(bundle=tiny_bundle, folder=tmp_path, server=server.url, port=server.port)
        )
        for _ in range(5):
            # The message may still have waited for the clip when the recording was over; nothing else is done twice.
            run(config)
            if any(one.path == "/phone" for one in server.requests):
                break
        requests = server.requests

    (posted,) = [json.loads(one.body) for one in requests if one.path == "/hook"]
    assert (posted["action"], posted["detection"]["state"]) == ("tell", "ended")
    given = json.loads((tmp_path / "given").read_text())
    assert given["detection"]["common_name"] == "High Tone"
    assert given["detection"]["id"] == posted["detection"]["id"]
    stem = tmp_path / "clips" / given["detection"]["clip_path"]
    assert [stem.with_name(stem.name + suffix).is_file() for suffix in (".flac", "_1.jpg", "_2.jpg")] == [
        True
    ] * 3
    (told,) = [json.loads(one.body) for one in requests if one.path == "/phone"]
    assert told["title"] == "High Tone"
    assert [one["filename"] for one in told["attachments"]] == [
        stem.name + suffix for suffix in (".flac", "_1.jpg", "_2.jpg")
    ]
