"""What is there already outlives a disk that is full when it is written anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from birdwatchd.domain import Label
from birdwatchd.errors import UserError
from tests.train.full import files_of_at_most
from tests.train.sounds import noise, write
from train import checkpoint
from train.calibration import Calibration, write_calibration
from train.crop import Cut, Cutter
from train.curves import draw_curves, write_metrics
from train.evaluate import evaluation
from train.export import kept_checkpoint, write_bundle
from train.manifest import Row, write_manifest
from train.networks import build
from train.platt import Line
from train.report import write_report
from train.resuming import begin
from train.scoring import Scored, Scores
from train.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SETTINGS = Settings.model_validate({"network": "cnn", "sample_rate": 8000, "seconds": 1.0})
HISTORY = [{"epoch": float(number), "loss": 1.0} for number in range(1, 100)]


def a_checkpoint(folder: Path) -> None:
    checkpoint.save(folder / "best.pt", build(SETTINGS, 1), (Label(0, "Testus", "Testus"),), SETTINGS)


def a_calibration(folder: Path) -> None:
    line = Line(np.ones(20), np.zeros(20))
    names = tuple(f"Testus {number}" for number in range(20))
    (folder / "best.pt").touch()
    write_calibration(folder / "best.pt", Calibration(names, line, np.ones(20), "said"))


def a_manifest(folder: Path) -> None:
    write_manifest(folder / "birds.csv", [Row(folder / f"{number}.wav", ("tit",)) for number in range(100)])


def a_report(folder: Path) -> None:
    rows = [Scored(Row(folder / "a.wav", ("Testus",)), np.ones(1, bool), (0.0,), np.ones((1, 1), np.float32))]
    write_report(folder, evaluation("a model", ["Testus"], [(Scores(("Testus",), rows, 1), np.ones(1))]))


def a_clip(folder: Path) -> None:
    recording = folder.parent / "a.wav"
    if not recording.exists():
        write(recording, noise(3.0))
    Cutter(folder, Cut(), alone=True).cut(recording, "tit")


@pytest.mark.parametrize(
    "written",
    [
        a_checkpoint,
        a_calibration,
        a_manifest,
        a_report,
        a_clip,
        lambda folder: draw_curves(folder / "curves.png", HISTORY),
        lambda folder: write_metrics(folder / "metrics.csv", HISTORY),
        lambda folder: begin(folder, SETTINGS, resume=False),
    ],
    ids=["checkpoint", "calibration", "manifest", "report", "clip", "curves", "metrics", "settings"],
)
def test_is_as_it_was(tmp_path: Path, written: Callable[[Path], object]) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    torch.manual_seed(0)
    written(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert before
    with files_of_at_most(512), pytest.raises(UserError, match=r"cannot be written"):
        written(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_new_bundle_goes_with_the_checkpoint_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone it would be taken for one that `export` did not make, and in the way of the next try."""
    monkeypatch.setattr("train.export.save", lambda _, path, __: path.write_bytes(b"a bundle"))
    bundle, trained = tmp_path / "garden.pt", tmp_path / "best.pt"
    trained.write_bytes(bytes(1000))
    with files_of_at_most(512), pytest.raises(UserError, match=r"make room, and export again"):
        write_bundle(None, bundle, None, trained)  # type: ignore[arg-type] # what is saved is not looked at
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_the_checkpoint_beside_a_bundle_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.export.save", lambda *_: None)
    bundle, trained = tmp_path / "garden.pt", tmp_path / "best.pt"
    kept_checkpoint(bundle).write_bytes(b"of the one before")
    trained.write_bytes(bytes(1000))
    with files_of_at_most(512), pytest.raises(UserError, match=r"garden.checkpoint cannot be written"):
        write_bundle(None, bundle, None, trained)  # type: ignore[arg-type] # what is saved is not looked at
    assert kept_checkpoint(bundle).read_bytes() == b"of the one before"
    assert {path.name for path in tmp_path.iterdir()} == {"best.pt", "garden.checkpoint"}
