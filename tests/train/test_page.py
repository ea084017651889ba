"""The walk of docs/train.md: its commands, as they stand there, on small recordings and with a tiny network."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from birdwatchd.cli.commands import birdwatchd
from tests.train.sounds import noise, tone, write
from tests.train.test_record import ToldPortAudio
from train import record
from train.cli import train
from train.manifest import read_manifest

if TYPE_CHECKING:
    import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "train.md"
QUICK = ("network=cnn", "sample_rate=8000", "seconds=3", "hop_seconds=3", "front_end.bands=16",
         "front_end.hop_seconds=0.05", "augment.waveform=false", "training.max_steps=2")  # fmt: skip
WALKED: dict[str, list[str]] = {
    # What is added, so that it takes seconds: a network that has learnt next to nothing hears birds in noise.
    "record": ["--seconds", "5"],
    "crop": [],
    "list": [],
    "fit": [part for setting in QUICK for part in ("--set", setting)],
    "calibrate": [],
    "export": ["--force"],
    "predict": [],
}
BIRDS = {"Turdus merula_Blackbird": 2000.0, "Erithacus rubecula_Robin": 3000.0}


def commands() -> list[list[str]]:
    """Those of the page's blocks, in words, without the remarks behind them."""
    lines = [line.strip() for line in PAGE.read_text().splitlines() if line.startswith("    birdwatchd")]
    return [shlex.split(re.split(r"\s{2,}", line)[0]) for line in lines]


def call(*words: str) -> str:
    """The command in this process; its standard output."""
    program = {"birdwatchd": birdwatchd, "birdwatchd-train": train}[words[0]]
    result = CliRunner().invoke(program, words[1:], catch_exceptions=False)
    assert result.exit_code == 0, (words, result.output)
    return result.stdout


def with_a_call(hertz: float, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Five seconds of faint noise, and one of a tone in it."""
    sound = noise(5, seed=seed, level=0.005)
    sound[16_000:24_000] += tone(1, hertz=hertz)
    return sound


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_there_with_its_options(words: list[str]) -> None:
    assert "Usage: " in call(*words, "--help")


def test_the_walk_from_recording_to_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setattr(record, "portaudio", lambda: ToldPortAudio(with_a_call(2000.0, 99)))
    for number in range(8):
        for bird, hertz in BIRDS.items():
            write(Path("recordings", bird, f"{bird} {number}.wav"), with_a_call(hertz, number))
        # Rain: nothing in it stands out.
        write(Path("recordings", "background", f"rain {number}.wav"), noise(4, seed=20 + number))
    write(Path("dawn.wav"), with_a_call(3000.0, 50))
    said: dict[str, list[str]] = {}
    for program, name, *words in commands():
        if program != "birdwatchd-train" or name not in WALKED or any("~" in word for word in words):
            continue  # birdwatchd's own commands have tests of their own, and so has a database as a source
        # Of a training's other ways only the settings are looked at.
        more = ["--settings"] if name == "fit" and said.get("fit") else WALKED[name]
        said.setdefault(name, []).append(call(program, name, *words, *more))
    assert said.keys() == WALKED.keys()
    rows = read_manifest(Path("birds.csv"))
    assert {row.labels for row in rows} == {(bird,) for bird in BIRDS} | {()}
    assert sum(row.labels == ("Turdus merula_Blackbird",) for row in rows) == 9, "what was recorded, too"
    assert sum(not row.labels for row in rows) == 8
    whole, over_time = (list(csv.DictReader(text.splitlines())) for text in said["predict"])
    assert {row["common_name"] for row in whole} == {"Blackbird", "Robin"}
    assert len(over_time) > len(whole)
