"""The README's first command, with the real model: it hears all its songs and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(
        Path(sys.prefix).resolve() != ROOT / ".venv",
        reason="scripts/demo uses the checkout's own .venv; scripts/test runs these tests in it",
    ),
    pytest.mark.usefixtures("birdnet_bundle"),
]


def demo(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "demo", *words], capture_output=True, text=True, timeout=280, check=False
    )


def assert_heard_everything(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 songs heard, 0 heard that did not sing." in done.stdout
    listed = subprocess.run(
        [sys.executable, "-m", "birdwatchd", "detections", "-c", folder / "config.yaml", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(row["common_name"] for row in json.loads(listed.stdout)) == [
        "Black-capped Chickadee",
        "Black-capped Chickadee",
        "Common Cuckoo",
        "Great Tit",
    ]


def test_the_fast_demo_hears_every_song_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    assert_heard_everything(demo("--fast", folder), folder)
    # The second run starts afresh.
    assert_heard_everything(demo("--fast", folder), folder)


@pytest.mark.long
def test_the_demo_in_real_time_hears_the_same(tmp_path: Path) -> None:
    assert_heard_everything(demo(tmp_path), tmp_path)


def test_an_option_that_there_is_not_is_refused() -> None:
    done = demo("--loud")
    assert done.returncode == 2
    assert done.stderr == "demo: unknown option '--loud'; there are --fast and --live.\n"
