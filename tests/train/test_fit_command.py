"""The command itself, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from tests.integration.waiting import wait_until
from train import checkpoint
from train.manifest import Row, write_manifest

SMALL = (
    "network=cnn",
    "sample_rate=8000",
    "seconds=1.0",
    "hop_seconds=0.5",
    "device=cpu",
    "front_end.bands=32",
    "training.batch_size=4",
)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    rows = []
    for label, hertz in (("low", 400.0), ("high", 2500.0)):
        for number in range(4):
            path = tmp_path / f"{label}{number}.wav"
            tone = 0.2 * np.sin(2 * np.pi * hertz * np.arange(8000) / 8000)
            soundfile.write(path, tone + 0.02 * draw.standard_normal(8000), 8000)
            rows.append(Row(path, (label,), split="validation" if number == 3 else "train"))
    write_manifest(tmp_path / "clips.csv", rows)
    return tmp_path / "clips.csv"


def begun(*arguments: str | Path, folder: Path) -> subprocess.Popen[str]:
    command: list[str | Path] = [sys.executable, "-m", "train", "fit", *arguments]
    command += ["--cache", folder / "cache", "-o", folder / "out"]
    for setting in SMALL:
        command += ["--set", setting]
    return subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_keeps_the_best_and_resume_goes_on(manifest: Path, tmp_path: Path) -> None:
    child = begun(manifest, "--set", "training.epochs=1000", folder=tmp_path)
    last = tmp_path / "out" / "last.pt"
    wait_until(lambda: last.exists() or child.poll() is not None, "an epoch has ended", 200)
    assert child.poll() is None, child.communicate()
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=120)
    assert child.returncode == -signal.SIGINT  # 130 to a shell
    assert "interrupted: the best so far is in" in errors
    assert "Traceback" not in errors
    kept = checkpoint.load(tmp_path / "out" / "best.pt")
    assert kept.settings.training.epochs == 1000
    epochs = len(checkpoint.load(last).history)
    saved = yaml.safe_load((tmp_path / "out" / "settings.yaml").read_text())
    assert saved["training"]["epochs"] == 1000

    before = last.stat().st_mtime_ns
    child = begun(manifest, "--resume", "--set", "training.epochs=1000", folder=tmp_path)
    wait_until(
        lambda: last.stat().st_mtime_ns != before or child.poll() is not None, "another has ended", 200
    )
    assert child.poll() is None, child.communicate()
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=120)
    history = checkpoint.load(last).history
    assert len(history) > epochs
    assert [entry["epoch"] for entry in history] == list(range(1, len(history) + 1))


def test_a_mistake_is_one_sentence(manifest: Path, tmp_path: Path) -> None:
    child = begun(manifest, "--set", "training.epoch=3", folder=tmp_path)
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 2
    assert errors.startswith("birdwatchd-train: settings: there is no setting training.epoch")
    assert errors.count("\n") == 1


def test_help_does_not_load_torch() -> None:
    script = "import sys; sys.argv = ['x', 'fit', '--help']\nfrom train.__main__ import main\n"
    script += "try: main()\nexcept SystemExit: pass\nprint('torch' in sys.modules, 'yaml' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False False"
