"""A third party's package, built and installed into a fresh environment, fired by the real daemon; and broken ones."""

from __future__ import annotations

import json
import shutil
import site
import subprocess
import sys
import threading
import venv
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
RATE = 48000
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
OFFLINE = ("--no-deps", "--no-index", "--no-build-isolation")
BROKEN = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "birdwatchd-broken"
version = "1"
[project.entry-points."birdwatchd.actions"]
broken = "birdwatchd_broken:Broken"
[tool.setuptools]
py-modules = ["birdwatchd_broken"]
""",
    "birdwatchd_broken.py": "raise RuntimeError('there are no pins on this machine')\n",
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the example and a broken plugin; birdwatchd itself is seen in it, not copied."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (own,) = (folder / "lib").glob("python*/site-packages")
    lines = [f"import site; site.addsitedir({place!r})" for place in site.getsitepackages()]
    (own / "seen.pth").write_text("\n".join([str(ROOT), *lines]) + "\n")
    broken = folder / "broken"
    broken.mkdir()
    for name, text in BROKEN.items():
        (broken / name).write_text(text)
    # A copy: building leaves files beside the sources.
    example = shutil.copytree(ROOT / "examples" / "birdwatchd-lamp", folder / "lamp")
    for package in (example, broken):
        done = subprocess.run(
            [*PIP, "--python", python, "install", *OFFLINE, package],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return python


@pytest.fixture
def plug() -> Iterator[tuple[str, list[str]]]:
    """A smart plug: its address, and what was asked of it."""
    asked: list[str] = []

    class Plug(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path.startswith("/relay") else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Plug)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def config(tmp_path: Path, tiny_bundle: Path, plug: tuple[str, list[str]]) -> Path:
    sound = np.random.default_rng(1).normal(0, 0.003, 15 * RATE)
    sound[6 * RATE : 9 * RATE] += 0.3 * np.sin(2 * np.pi * 4000 * np.arange(3 * RATE) / RATE)
    soundfile.write(tmp_path / "20260501_043000.wav", sound, RATE)
    path = tmp_path / "config.yaml"
    path.write_text(
        f"""\
model: {{bundle: {tiny_bundle}}}
sources: [{{name: garden, kind: recording, path: {tmp_path}/20260501_043000.wav, speed: fast}}]
store: {{database: {tmp_path}/db}}
actions:
  - {{name: porch, kind: lamp, host: "{plug[0]}", seconds: 90}}
  - {{name: siren, kind: broken, pin: 17}}
"""
    )
    return path


def birdwatchd(python: Path, *arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [python, "-m", "birdwatchd", *arguments], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == status, done.stderr
    return done


def test_the_daemon_fires_it_and_leaves_out_the_broken_one(
    python: Path, config: Path, plug: tuple[str, list[str]]
) -> None:
    said = birdwatchd(python, "run", "-c", config).stderr
    assert plug[1] == ["/relay/0?turn=on&timer=90"]
    log = [json.loads(line) for line in said.splitlines()]
    (left_out,) = [line for line in log if line["event"] == "action left out"]
    assert left_out["action"] == "siren"
    assert left_out["reason"] == (
        "the action plugin broken of birdwatchd-broken cannot be imported: "
        "RuntimeError: there are no pins on this machine"
    )
    (row,) = json.loads(birdwatchd(python, "deliveries", "-c", config, "--json").stdout)
    assert (row["action"], row["status"], row["notes"]) == ("porch", "done", {"status": 200})


def test_its_settings_are_listed_and_the_broken_one_is_named(python: Path) -> None:
    shown = birdwatchd(python, "actions", "list", "--json")
    rows = {row["kind"]: row for row in json.loads(shown.stdout)}
    assert rows["lamp"]["package"] == "birdwatchd-lamp 0.1.0"
    settings = {setting["name"]: setting["meaning"] for setting in rows["lamp"]["settings"]}
    assert settings["seconds"] == "How long the lamp stays on."
    assert "broken" not in rows
    assert "left out: the action plugin broken of birdwatchd-broken cannot be imported" in shown.stderr


def test_a_trial_of_it(python: Path, config: Path, plug: tuple[str, list[str]]) -> None:
    said = birdwatchd(python, "actions", "test", "porch", "-c", config).stdout
    assert "status: 200" in said
    config.write_text(config.read_text().replace("seconds: 90", 'path: "/away"'))
    said = birdwatchd(python, "actions", "test", "porch", "-c", config, status=1).stdout
    assert "knows no /away (it would not be tried again)" in said
    assert len(plug[1]) == 2


def test_its_mistakes_are_told_with_their_line(python: Path, config: Path) -> None:
    config.write_text(config.read_text().replace("seconds: 90", "secnds: 90"))
    refused = birdwatchd(python, "check", "-c", config, status=2)
    assert "config.yaml:5: actions[0].secnds: unknown setting; did you mean seconds?" in refused.stderr


def test_check_warns_of_the_broken_one(python: Path, config: Path) -> None:
    said = birdwatchd(python, "check", "-c", config).stdout
    assert "siren: left out, its plugin is broken" in said
    assert "warning: the action plugin broken of birdwatchd-broken cannot be imported" in said


def test_there_it_is_not_when_it_is_not_installed(config: Path) -> None:
    refused = birdwatchd(Path(sys.executable), "check", "-c", config, status=2)
    assert "there is no such kind of action" in refused.stderr
