"""The bars that long work has on a terminal, and nowhere else."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.train.screen import on_a_terminal
from tests.train.stand_in import tone
from tests.train.test_record import ToldPortAudio
from train import record as recording
from train.cli import train
from train.progress import Display

if TYPE_CHECKING:
    from pathlib import Path


def run(*words: object) -> None:
    """In this process, with its own standard output and error."""
    train.main([str(word) for word in words], standalone_mode=False)


def test_a_training_shows_clips_and_their_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    with on_a_terminal(monkeypatch) as screen, Display().bar("epoch 3", 200) as advance:
        for _ in range(4):
            advance(50)
    assert "epoch 3" in screen.text
    assert "200/200 clips" in screen.text
    assert " clips/s" in screen.text


def test_no_bar_goes_into_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display()
    with display.bar("epoch 3", 200) as advance:
        advance(200)
    display.say("epoch 3: loss [0.5]")
    assert capsys.readouterr().err == "epoch 3: loss [0.5]\n"


@pytest.mark.parametrize(("level", "meant"), [(0.5, "-6 dBFS"), (1.0, "0 dBFS  too loud"), (0.0, "-80 dBFS")])
def test_record_shows_how_far_it_is_and_how_loud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: float, meant: str
) -> None:
    square = np.where(np.arange(8000) % 16 < 8, level, -level).astype(np.float32)
    monkeypatch.setattr(recording, "portaudio", lambda: ToldPortAudio(square))
    with on_a_terminal(monkeypatch) as screen:
        run("record", tmp_path / "a.wav", "--seconds", 1)
    assert "recording" in screen.text
    assert "1.0 of 1 s" in screen.text
    assert meant in screen.text
    assert ("too loud" in screen.text.split("note:")[0]) == (level == 1)


def test_predict_shows_how_many_recordings_are_done_and_keeps_the_table_out_of_it(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        tone(tmp_path / f"{name}.wav", "Testus bassus", seconds=4.0)
    (tmp_path / "c.wav").write_bytes(b"no sound")
    with on_a_terminal(monkeypatch) as screen, pytest.raises(SystemExit) as ended:
        run("predict", tiny_bundle, tmp_path, "-k", 1)
    assert ended.value.code == 1
    assert "listening" in screen.text
    assert "2/3" in screen.text
    assert "birdwatchd-train: " in screen.text, "what cannot be read is told all the same"
    assert "Testus bassus" not in screen.text
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["scientific_name"] for row in rows] == ["Testus bassus"] * 2
