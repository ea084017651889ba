"""`birdwatchd check --live` beside real parts: a broker, a sound server, a web server, a camera, a model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import soundfile

from tests.integration.mosquitto import PASSWORD, USER, Mosquitto, missing
from tests.integration.soundserver import SoundServer, needs_sound_server
from tests.integration.test_run import RATE, noise
from tests.integration.waiting import wait_until
from tests.integration.web import WebServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [needs_sound_server, pytest.mark.skipif(bool(missing()), reason=missing() or "there is one")]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as mosquitto:
        yield mosquitto


@contextmanager
def playing(sound: Path, server: SoundServer) -> Iterator[None]:
    with subprocess.Popen(["paplay", "--device=mic", str(sound)], env=server.environment) as player:
        try:
            wait_until(server.is_playing, "it plays")
            yield
        finally:
            player.kill()


def check(folder: Path, config: str, status: int, server: SoundServer) -> list[str]:
    path = folder / "config.yaml"
    path.write_text(config)
    path.chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-m", "birdwatchd", "check", "--live", "-c", str(path)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env={**server.environment, "HOME": os.environ["HOME"]},
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stderr == ""
    lines = done.stdout.partition("\n  ok ")[2]
    return ["ok " + lines.splitlines()[0], *(line.strip() for line in lines.splitlines()[1:])]


def test_what_works_is_found_to_and_nobody_is_told(
    tmp_path: Path, tiny_bundle: Path, broker: Mosquitto
) -> None:
    soundfile.write(tmp_path / "day.wav", noise(5), RATE)
    camera = (
        "[fswebcam, -d, 'TEST:colourbars', '{file}']"
        if shutil.which("fswebcam")
        else "[ffmpeg, -f, lavfi, -i, testsrc, -frames:v, '1', '{file}']"
    )
    soundfile.write(tmp_path / "rain.wav", noise(180), RATE)
    with (
        WebServer(tmp_path) as web,
        broker.subscriber("#") as subscriber,
        SoundServer(tmp_path) as server,
        playing(tmp_path / "rain.wav", server),
    ):
        said = check(
            tmp_path,
            f"""\
model: {{bundle: {tiny_bundle}}}
sources:
  - {{kind: recording, name: attic, path: {tmp_path}/day.wav}}
  - {{kind: microphone, name: garden}}
actions:
  - {{name: keep, kind: save_clip}}
  - {{name: tell, kind: mqtt, host: localhost, port: {broker.port}, username: {USER}, password: "{PASSWORD}"}}
  - {{name: hook, kind: webhook, url: "{web.url}/hook"}}
  - {{name: run, kind: command, argv: [cat]}}
  - {{name: photo, kind: camera, mode: command, argv: {camera}}}
  - {{name: quiet, kind: mqtt, host: nowhere.invalid, enabled: false}}
store: {{database: {tmp_path}/new/birds.sqlite, clips_folder: {tmp_path}/clips}}
""",
            0,
            server,
        )
        heard = subscriber.heard()
    text = "\n".join(said)
    assert said[-1] == "everything works"
    assert f"ok    tell: the broker at localhost:{broker.port} lets it in as {USER}" in text
    assert "ok    attic: heard at 48000 Hz, -50 dBFS" in text
    assert "ok    garden: heard at 48000 Hz, -5" in text
    assert "ok    model: tiny-1 on cpu: " in text
    assert "ok    photo: it gives pictures (" in text
    assert "ok    run: cat is there" in text
    assert f"ok    database: {tmp_path} can be written" in text
    assert "quiet" not in text
    assert heard == []
    assert not (tmp_path / "requests").exists()
    # It leaves nothing.
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.rglob("*.jpg"))
    assert not list(tmp_path.rglob(".birdwatchd-check*"))


def test_what_does_not_is_said_with_what_to_do(tmp_path: Path, tiny_bundle: Path, broker: Mosquitto) -> None:
    with SoundServer(tmp_path) as server:
        said = check(
            tmp_path,
            f"""\
model: {{bundle: {tiny_bundle}}}
sources:
  - {{kind: microphone, name: attic}}
  - {{kind: stream, name: pond, url: "rtsp://birds:hush@127.0.0.1:1/none"}}
  - {{kind: microphone, name: garden, device: "no such microphone"}}
actions:
  - {{name: tell, kind: mqtt, host: localhost, port: {broker.port}, username: {USER}, password: wrong}}
  - {{name: hook, kind: webhook, url: "http://127.0.0.1:1/secret-path"}}
  - {{name: photo, kind: camera, mode: http, url: "http://127.0.0.1:1/shot.jpg"}}
store: {{database: {tmp_path}/birds.sqlite, clips_folder: {tmp_path}/clips, retention: {{free_gigabytes: 1.0e+6}}}}
metrics: {{port: {broker.port}}}
""",
            1,
            server,
        )
    wrong = {line.split()[1]: line.partition(": ")[2] for line in said if line.startswith("WRONG")}
    assert wrong.keys() == {
        "database:",
        "clips:",
        "attic:",
        "pond:",
        "garden:",
        "tell:",
        "hook:",
        "photo:",
        "metrics:",
    }
    assert "make room" in wrong["database:"]
    assert wrong["attic:"] == "it delivers nothing but digital silence at 48000 Hz: is it muted or dead?"
    assert "stream gone" in wrong["pond:"]
    assert "username" in wrong["tell:"] or "password" in wrong["tell:"]
    assert "cannot be reached: Connection refused" in wrong["hook:"]
    assert "is taken by another program" in wrong["metrics:"]
    assert said[-1] == "9 of these would not work"
    assert not {"hush", "secret-path", PASSWORD} & {word for line in said for word in line.split()}
