"""The command line itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.train.sounds import write_class
from train.cli import Commands, train

HEAVY = ("torch", "numpy", "soundfile", "sounddevice", "pydantic", "matplotlib")


def run(*words: str | bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "train", *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("words", [[], *([name] for name in Commands.table)])
def test_help_tells_without_loading_what_is_heavy(words: list[str]) -> None:
    program = (
        f"import sys; sys.argv = ['birdwatchd-train', *{words!r}, '--help']\n"
        "from train.__main__ import main\n"
        "try: main()\n"
        f"finally: print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "Usage: birdwatchd-train" in done.stdout
    assert done.stdout.endswith("loaded: []\n")
    if words:
        assert "Examples:" in done.stdout


def test_commands_stand_in_the_order_of_their_use() -> None:
    lines = run("--help").stdout.decode().splitlines()
    named = [line.split()[0] for line in lines if line.startswith("  ") and line.split()[0] in Commands.table]
    assert named == ["record", "crop", "list", "fit", "evaluate", "calibrate", "export", "predict"]


def test_the_overview_is_whole_on_a_narrow_terminal() -> None:
    lines = CliRunner().invoke(train, ["--help"], terminal_width=80).stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert not [line for line in lines if line.startswith("  ") and line.endswith("...")]
    assert 'eval "$(_BIRDWATCHD_TRAIN_COMPLETE=bash_source birdwatchd-train)"' in map(str.strip, lines)


def test_a_mistake_is_one_sentence_and_status_2() -> None:
    done = run("list", "/nowhere")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == (
        b"birdwatchd-train: /nowhere does not exist: name a folder, a table, a list or a database\n"
    )


def test_names_that_are_no_utf_8_go_through(tmp_path: Path) -> None:
    strange = os.fsdecode(b"b\xfcrd")
    write_class(tmp_path / "birds", "bird", 3)
    (tmp_path / "birds" / "bird").rename(tmp_path / "birds" / strange)
    (tmp_path / "birds" / strange / (strange + ".wav")).write_bytes(b"no sound")
    done = run("list", str(tmp_path / "birds"), "-o", str(tmp_path / "m.csv"))
    assert done.returncode == 0, done.stderr
    assert rb"b\udcfcrd" in done.stdout
    assert b"b\xfcrd" in (tmp_path / "m.csv").read_bytes()
