"""The whole way: a recording, the real daemon, a real Mosquitto, mosquitto_sub."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from tests.integration import mosquitto
from tests.integration.mosquitto import PASSWORD, USER, Mosquitto

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(bool(mosquitto.missing()), reason=mosquitto.missing())

RATE = 48000


def test_a_bird_in_a_recording_is_told_to_the_world(tmp_path: Path, tiny_bundle: Path) -> None:
    sound = np.random.default_rng(1).normal(0, 0.003, 15 * RATE)
    sound[6 * RATE : 9 * RATE] += 0.3 * np.sin(2 * np.pi * 4000 * np.arange(3 * RATE) / RATE)
    soundfile.write(tmp_path / "call.wav", sound, RATE)
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker, broker.subscriber("#") as everything:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"""\
node: wood
model: {{bundle: {tiny_bundle}}}
sources:
  - {{name: garden, kind: recording, path: {tmp_path / "call.wav"}, speed: fast, start: now}}
actions:
  - name: tell-home
    kind: mqtt
    host: localhost
    port: {broker.port}
    username: {USER}
    password: "{PASSWORD}"
    ended: true
store: {{database: {tmp_path / "birds.sqlite"}}}
""",
            encoding="utf-8",
        )
        words = [sys.executable, "-m", "birdwatchd", "run", "-c", str(config)]
        daemon = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
        assert daemon.returncode == 0, daemon.stderr
        assert PASSWORD not in daemon.stderr
        (started,) = everything.wait_for("birdwatchd/wood")
        (ended,) = everything.wait_for("birdwatchd/wood/ended")
        (own,) = everything.wait_for("birdwatchd/wood/source/garden")
        first, last = json.loads(started.payload), json.loads(ended.payload)
        assert (first["CommonName"], first["late"], first["firstEver"]) == ("High Tone", False, True)
        assert (first["state"], last["state"], first["id"]) == ("started", "ended", last["id"])
        assert own.payload == started.payload
        statuses = [one.payload for one in everything.wait_for("birdwatchd/wood/status", 2)]
        assert statuses == ["online", "offline"]
        health = json.loads(everything.wait_for("birdwatchd/wood/health")[0].payload)
        assert health["sources"].keys() == {"garden"}
        assert everything.heard("homeassistant/sensor/wood/garden_species/config")
