"""`birdwatchd devices` beside a real sound server."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from birdwatchd.config.schema import MicrophoneSource
from tests.integration.known import noise
from tests.integration.soundserver import SoundServer, needs_sound_server
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs_sound_server


def devices(server: SoundServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "birdwatchd", "devices", *arguments],
        env=server.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SoundServer]:
    with SoundServer(tmp_path) as server:
        yield server


def test_the_table_and_the_lines_for_the_config(server: SoundServer) -> None:
    shown = devices(server, "--levels", "--seconds", "0.5")
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""
    assert "\x1b" not in shown.stdout
    table, _, lines = shown.stdout.partition("the config says:")
    assert "default (default)" in table
    assert "silence" in table
    (source,) = yaml.safe_load(lines)["sources"]
    assert MicrophoneSource(**source).device == "default"


def test_json_has_levels_while_something_plays(server: SoundServer, tmp_path: Path) -> None:
    noise(tmp_path / "played.wav", seconds=120)
    player = subprocess.Popen(["paplay", "--device=mic", tmp_path / "played.wav"], env=server.environment)
    try:
        wait_until(server.is_playing, "it plays")
        shown = devices(server, "default", "--json", "--levels")
    finally:
        player.kill()
        player.wait()
    (row,) = json.loads(shown.stdout)
    assert row["name"] == "default"
    assert row["default"]
    assert 48000 in row["rates"]
    assert -20 < row["level_dbfs"] < -10  # uniform noise of ±9000 is at -16


def test_an_input_that_is_not_there_is_said(server: SoundServer) -> None:
    shown = devices(server, "defualt")
    assert shown.returncode == 2
    assert "did you mean 'default'?" in shown.stderr
    assert shown.stdout == ""


def test_no_input_at_all_is_said(tmp_path: Path) -> None:
    nothing = SoundServer(tmp_path)  # never started
    shown = devices(nothing)
    assert shown.returncode == 2
    assert "no sound input found: plug in a microphone" in shown.stderr
    assert json.loads(devices(nothing, "--json").stdout) == []


def test_a_frozen_server_is_said(server: SoundServer) -> None:
    server.freeze()
    shown = devices(server)
    assert shown.returncode == 2
    assert "restart the sound server" in shown.stderr
