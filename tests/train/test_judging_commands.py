from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

import train.fit
from birdwatchd.errors import UserError
from birdwatchd.model.bundle import read_card
from tests.train.screen import on_a_terminal
from tests.train.stand_in import LABELS, RATE, SECONDS, tone
from train import checkpoint
from train.calibration import Calibration, read_calibration, write_calibration
from train.cli import train as main
from train.dataset import windows
from train.export import kept_checkpoint
from train.learnt import Learnt
from train.manifest import Row, read_manifest, write_manifest
from train.networks import build
from train.platt import Line
from train.resuming import begin_folds, end_folds
from train.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from train.checkpoint import Trained

SMALL = [
    "network=cnn",
    f"sample_rate={RATE}",
    f"seconds={SECONDS}",
    "hop_seconds=1",
    "augment.waveform=false",
]
TONES = ("Testus altus", "Testus bassus", "")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Eighteen clips: six of each tone and of neither, in two folds and three splits."""
    rows = [
        Row(
            tone(tmp_path / f"{number}.wav", name, seed=number),
            (name,) if name else (),
            fold=number % 2 + 1,
            split=("train", "validation", "test")[number // 6],
        )
        for number, name in enumerate(TONES * 6)
    ]
    write_manifest(tmp_path / "tones.csv", rows)
    return tmp_path / "tones.csv"


@pytest.fixture
def best(tmp_path: Path) -> Path:
    """The checkpoint of a network that was not trained."""
    settings = load_settings(None, SMALL)
    torch.manual_seed(0)
    checkpoint.save(tmp_path / "best.pt", build(settings, 2), LABELS, settings)
    return tmp_path / "best.pt"


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def test_calibrate_writes_beside_the_checkpoint_and_names_what_it_cannot_reach(
    best: Path, manifest: Path
) -> None:
    result = command("calibrate", best, manifest, "--precision", "1")
    assert result.exit_code == 0
    assert "High Tone" in result.stdout
    assert "does not reach precision 1" in result.stderr  # it was not trained
    assert "nan" not in result.stdout
    found = read_calibration(best, LABELS)
    assert found is not None
    assert found.said == "precision 1 on 6 validation clips of tones.csv"


def test_calibrate_refuses_a_bundle_and_rows_that_are_not_there(
    best: Path, manifest: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="is a bundle"):
        command("calibrate", tiny_bundle, manifest)
    write_manifest(tmp_path / "plain.csv", [Row(tmp_path / "0.wav", ("Testus altus",))])
    with pytest.raises(UserError, match="no rows for validation"):
        command("calibrate", best, tmp_path / "plain.csv")


def test_evaluate_takes_the_test_rows_of_a_checkpoint(best: Path, manifest: Path, tmp_path: Path) -> None:
    result = command("evaluate", best, manifest, "-o", tmp_path / "judged")
    assert result.exit_code == 0
    assert "macro average precision" in result.stdout
    assert "<p>6 clips" in (tmp_path / "judged" / "report.html").read_text()


def test_evaluate_says_where_it_judges_by_what_was_learnt(best: Path, manifest: Path, tmp_path: Path) -> None:
    rows = [row for row in read_manifest(manifest) if row.split != "test"]
    write_manifest(manifest, rows)
    result = command("evaluate", best, manifest, "-o", tmp_path / "judged")
    assert "no rows for test: those for train are judged too" in result.stderr
    assert "<p>12 clips" in (tmp_path / "judged" / "report.html").read_text()


def test_clips_that_were_learnt_from_are_counted_whatever_the_manifest_says(
    best: Path, manifest: Path, tmp_path: Path
) -> None:
    rows = read_manifest(manifest)
    trained = checkpoint.load(best)
    settings = trained.settings
    parts = [windows(part, settings, LABELS, folder=tmp_path / "cache") for part in (rows[:6], rows[6:12])]
    checkpoint.save(best, trained.network, LABELS, settings, learnt=Learnt.of(*parts))
    quiet = command("evaluate", best, manifest, "-o", tmp_path / "judged")
    assert "among what" not in quiet.stderr
    assert "among what" not in command("calibrate", best, manifest).stderr
    # Dealt out anew, elsewhere, in other stretches: two of the six for each part before are for the test now.
    (tmp_path / "moved").mkdir()
    for row in rows:
        row.path.rename(tmp_path / "moved" / row.path.name)
    anew = [
        replace(row, path=tmp_path / "moved" / row.path.name, start=0.5, end=1.5, split=split)
        for row, split in zip(rows, ["test", "validation", "train"] * 6, strict=True)
    ]
    write_manifest(manifest, anew)
    told = (
        "2 of 6 clips are among what the model was trained on, and may know by heart: that is no test of it"
    )
    assert told in command("calibrate", best, manifest).stderr
    result = command("evaluate", best, manifest, "-o", tmp_path / "judged")
    assert told in result.stderr
    assert "2 of 6 clips are among what chose its best epoch" in result.stderr
    assert told in (tmp_path / "judged" / "report.html").read_text()
    assert json.loads((tmp_path / "judged" / "metrics.json").read_text())["notes"][0] == told


def test_clips_that_were_mixed_in_as_noise_are_told_of_by_themselves(manifest: Path, tmp_path: Path) -> None:
    rows = read_manifest(manifest)
    settings = [*SMALL[:-1], f"augment.noise=[{rows[17].path}]", "training.max_steps=1"]
    asked = [part for setting in settings for part in ("--set", setting)]
    command("fit", manifest, *asked, "--cache", tmp_path / "cache", "-o", tmp_path / "out")
    fitted = tmp_path / "out" / "best.pt"
    told = "1 of 6 clips is among the noise that it was trained to hear through\n"
    result = command("evaluate", fitted, manifest, "-o", tmp_path / "judged")
    assert told in result.stderr
    assert "among what" not in result.stderr
    learnt = checkpoint.load(fitted).learnt
    assert learnt is not None
    assert (len(learnt.train), len(learnt.validation), len(learnt.noise)) == (6, 6, 1)
    assert learnt.said_of(rows[17:]) == [
        "the one clip is among the noise that it was trained to hear through"
    ]
    assert not learnt.said_of(rows[16:17])
    # One of before that was kept.
    kept = torch.load(fitted, weights_only=True)
    del kept["learnt"]["noise"]
    torch.save(kept, fitted)
    assert "among" not in command("evaluate", fitted, manifest, "-o", tmp_path / "judged").stderr


def test_rows_without_a_split_are_what_is_learnt_from(best: Path, manifest: Path, tmp_path: Path) -> None:
    write_manifest(manifest, [replace(row, split="") for row in read_manifest(manifest)])
    asked = [part for setting in [*SMALL, "training.max_steps=1"] for part in ("--set", setting)]
    result = command("fit", manifest, *asked, "--cache", tmp_path / "cache", "-o", tmp_path / "out")
    assert "note: all folds are trained on, which leaves nothing to test by" in result.stderr
    result = command("evaluate", tmp_path / "out" / "best.pt", manifest, "-o", tmp_path / "judged")
    assert "18 of 18 clips are among what the model was trained on" in result.stderr
    # One of before clips were written down.
    result = command("evaluate", best, manifest, "-o", tmp_path / "judged")
    assert "no rows for test: those for train are judged too" in result.stderr


@pytest.mark.parametrize("written", [("best.pt",), ("best.pt", "last.pt"), ()])
def test_resume_is_promised_only_where_there_is_something_to_go_on_after(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: tuple[str, ...]
) -> None:
    def interrupted(*arguments: Any, **_: Any) -> None:
        arguments[3].mkdir()
        for name in written:
            (arguments[3] / name).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(train.fit, "fit", interrupted)
    words = ["fit", str(manifest), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, words, standalone_mode=False)
    assert result.stderr.startswith("interrupted")
    assert ("the best so far is in" in result.stderr) == ("best.pt" in written)
    assert ("--resume goes on" in result.stderr) == ("last.pt" in written)


def test_fit_says_that_recordings_are_divided(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(manifest, [replace(row, group="one afternoon") for row in read_manifest(manifest)])
    with pytest.raises(UserError, match="holds no whole epoch"):  # it need not learn for that
        main.main(["fit", str(manifest), "--resume", "-o", str(tmp_path / "out")], standalone_mode=False)
    assert capsys.readouterr().err == (
        "note: pieces of one recording stand in several parts, so that a test measures memory: one afternoon\n"
    )


@pytest.fixture
def by_fold(best: Path) -> Path:
    """The same, as if it had been trained on neither of the two folds."""
    trained = checkpoint.load(best)
    settings = trained.settings.model_copy(update={"test_fold": 1, "validation_fold": 2})
    checkpoint.save(best, trained.network, LABELS, settings)
    return best


def test_a_training_by_folds_is_calibrated_and_judged_by_folds(
    by_fold: Path, manifest: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    rows = read_manifest(manifest)
    write_manifest(
        manifest, [replace(row, fold=1 if number < 5 else row.fold) for number, row in enumerate(rows)]
    )
    command("calibrate", by_fold, manifest)
    found = read_calibration(by_fold, LABELS)
    assert found is not None
    assert found.said == "precision 0.95 on 7 validation clips of tones.csv"
    result = command("evaluate", by_fold, manifest, "-o", tmp_path / "judged")
    assert "judged by fold 1" in result.stderr
    assert "<p>11 clips" in (tmp_path / "judged" / "report.html").read_text()
    # A bundle, too, by what it was exported from.
    bundle = tmp_path / "mine.pt"
    bundle.write_bytes(tiny_bundle.read_bytes())
    by_fold.rename(kept_checkpoint(bundle))
    command("evaluate", bundle, manifest, "-o", tmp_path / "again")
    assert "<p>11 clips" in (tmp_path / "again" / "report.html").read_text()


def test_without_a_test_fold_there_is_nothing_to_judge_by(best: Path, manifest: Path) -> None:
    trained = checkpoint.load(best)
    settings = trained.settings.model_copy(update={"validation_fold": 2})
    checkpoint.save(best, trained.network, LABELS, settings)
    with pytest.raises(UserError, match=r"trained on all of .*tones\.csv but fold 2"):
        command("evaluate", best, manifest)


def test_evaluate_matches_detections_of_a_bundle_to_events_and_shows_how_much_it_has_heard(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = tone(tmp_path / "dawn.wav", "Testus altus", seconds=12.0)
    rows = [Row(sound, ("Testus altus",), 1.0, 3.0), Row(sound, ("Testus bassus",), 5.0, 6.0)]
    write_manifest(tmp_path / "events.csv", rows)
    words = [tiny_bundle, tmp_path / "events.csv", "--annotated", tmp_path / "events.csv"]
    with on_a_terminal(monkeypatch) as screen:
        main.main(["evaluate", *map(str, words), "-o", str(tmp_path / "out")], standalone_mode=False)
    assert "1 of 2 events found by 1 detections, 0 of them false" in capsys.readouterr().out
    assert "1/1 0.2 min of sound" in screen.text
    events = json.loads((tmp_path / "out" / "metrics.json").read_text())["events"]
    assert events["Testus altus"] == {"events": 1, "found": 1, "detections": 1, "false": 0}


def test_events_of_recordings_that_cannot_be_read_are_not_missed_ones(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    heard = Row(tone(tmp_path / "dawn.wav", "Testus altus", seconds=12.0), ("Testus altus",), 1.0, 3.0)
    (tmp_path / "bad.wav").write_bytes(b"RIFF but nothing else")
    tone(tmp_path / "torn.flac", "Testus altus", seconds=30.0)
    content = (tmp_path / "torn.flac").read_bytes()
    (tmp_path / "torn.flac").write_bytes(content[: len(content) // 2])
    rows = [
        heard,
        replace(heard, path=tmp_path / "bad.wav"),
        replace(heard, path=tmp_path / "torn.flac", start=25.0, end=27.0),
        replace(heard, labels=("Testus ignotus",)),
    ]
    write_manifest(tmp_path / "events.csv", rows)
    write_manifest(tmp_path / "clips.csv", [heard])
    words: list[str | Path] = [tiny_bundle, tmp_path / "clips.csv", "--annotated", tmp_path / "events.csv"]
    result = command("evaluate", *words, "-o", tmp_path / "judged")
    assert "bad.wav" in result.stderr
    assert "torn.flac is damaged" in result.stderr
    assert "no labels of the model, so that their events cannot be found: Testus ignotus" in result.stderr
    assert "1 of 2 events found by 1 detections, 0 of them false" in result.stdout


def test_evaluate_needs_a_bundle_for_events_and_rows_at_all(best: Path, manifest: Path) -> None:
    with pytest.raises(UserError, match=r"export .* first"):
        command("evaluate", best, manifest, "--annotated", manifest)
    with pytest.raises(UserError, match="no rows for split test, fold 9"):
        command("evaluate", best, manifest, "--fold", "9")
    with pytest.raises(UserError, match="there is no model at"):
        command("evaluate", best.with_name("gone.pt"), manifest)
    assert command("evaluate", manifest).exit_code == 2


def test_evaluate_cross_validates(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    settings = [part for setting in [*SMALL, "training.max_steps=2"] for part in ("--set", setting)]
    result = command(
        "evaluate", "--folds", manifest, *settings, "--cache", tmp_path / "cache", "-o", tmp_path / "judged"
    )
    assert result.exit_code == 0
    assert "over folds, by clip" in result.stdout
    # Whole on a narrow terminal.
    assert re.search(r"^false claims at the thresholds .*…\d\.\d{3}\)$", result.stdout, re.MULTILINE)
    figures = json.loads((tmp_path / "judged" / "metrics.json").read_text())
    assert len(figures["folds"]) == 2
    assert "<p>18 clips" in (tmp_path / "judged" / "report.html").read_text()


def test_a_cross_validation_that_ctrl_c_has_ended_goes_on_where_it_was_and_with_nothing_else(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = train.fit.fit
    resumed: list[bool] = []

    def fit_once(*arguments: Any, **options: Any) -> Trained:
        if resumed:
            raise KeyboardInterrupt  # in the midst of the second training
        resumed.append(options["resume"])
        return fit(*arguments, **options)

    def fit_on(*arguments: Any, **options: Any) -> Trained:
        resumed.append(options["resume"])
        return fit(*arguments, **options)

    def asked(manifest: Path, output: str, *more: str) -> Result:
        settings = [part for setting in [*SMALL, *more] for part in ("--set", setting)]
        words = [str(manifest), *settings, "--cache", str(tmp_path / "cache"), "-o", str(tmp_path / output)]
        return CliRunner().invoke(main, ["evaluate", "--folds", *words], standalone_mode=False)

    brief = "training.max_steps=1"
    monkeypatch.setattr(train.fit, "fit", fit_once)
    result = asked(manifest, "judged", brief)
    assert isinstance(result.exception, click.Abort)
    assert "1 of 2 folds were judged; the same command goes on from there" in result.stderr
    assert "macro average precision" in result.stdout
    assert "1 of 2 folds" in (tmp_path / "judged" / "report.html").read_text()

    monkeypatch.setattr(train.fit, "fit", fit_on)
    rows = read_manifest(manifest)
    write_manifest(tmp_path / "other.csv", [replace(rows[0], labels=()), *rows[1:]])
    other = asked(tmp_path / "other.csv", "judged", brief).exception
    assert "another manifest, interrupted: give the command of then" in str(other)
    other = asked(manifest, "judged", "training.max_steps=2").exception
    assert "another training.max_steps (1, not 2)" in str(other)
    assert resumed == [False]

    # As Ctrl-C between the two checkpoints of a first epoch leaves it.
    (tmp_path / "judged" / "folds" / "2").mkdir(exist_ok=True)
    (tmp_path / "judged" / "folds" / "2" / "best.pt").write_bytes(b"of one epoch")
    result = asked(manifest, "judged", brief)
    assert result.exit_code == 0
    assert resumed == [False, True, False]
    assert "fold 1 goes on" in result.stderr
    assert "<p>18 clips" in (tmp_path / "judged" / "report.html").read_text()
    assert not (tmp_path / "judged" / "folds").exists()

    # What was never interrupted gives the same.
    assert asked(manifest, "whole", brief).exit_code == 0
    figures = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("judged", "whole")]
    assert figures[0] == figures[1]


def test_a_cross_validation_is_begun_after_a_kill_goes_on_after_a_move_and_is_cleared_away(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(None, SMALL)
    (tmp_path / "judged" / "folds").mkdir(parents=True)
    (tmp_path / "judged" / "folds" / ".0123.part").write_bytes(b"as a kill leaves it")
    rows = read_manifest(manifest)
    folder = begin_folds(tmp_path / "judged", settings, rows, 0.2)
    (folder / "1").mkdir()
    (folder / "1" / "last.pt").write_bytes(b"a checkpoint")
    moved = [replace(row, path=tmp_path / "elsewhere" / row.path.name) for row in rows]
    begin_folds(tmp_path / "judged", settings, moved, 0.2)
    with pytest.raises(UserError, match="of another manifest"):
        begin_folds(tmp_path / "judged", settings, moved[1:], 0.2)
    # A kill while all is cleared away at the end: whose it is is known until nothing else is left.
    cleared: list[bool] = []

    def rmtree(place: Path) -> None:
        cleared.append((folder / "asked.json").exists())
        shutil.rmtree(place)

    monkeypatch.setattr("train.resuming.shutil", SimpleNamespace(rmtree=rmtree))
    end_folds(tmp_path / "judged")
    assert cleared == [True, True]
    assert not folder.exists()


def test_a_cross_validation_leaves_a_folder_alone_that_is_not_its_own(manifest: Path, tmp_path: Path) -> None:
    mine = tmp_path / "judged" / "folds" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(UserError, match=r"judged/folds is of no cross-validation: name another folder"):
        command("evaluate", "--folds", manifest, "-o", tmp_path / "judged")
    assert mine.read_text() == "mine"


def test_export_is_forced_past_the_thresholds_of_a_calibration_too(
    best: Path, manifest: Path, tmp_path: Path
) -> None:
    line = Line(np.ones(2), np.full(2, 9.0))  # it hears both in whatever there is
    write_calibration(best, Calibration(TONES[:2], line, np.array([0.8, 0.8]), "precision 0.9"))
    asked = ("export", best, tmp_path / "mine.pt", "--clips", manifest, "--licence", "CC0-1.0")
    with pytest.raises(UserError, match="--force"):
        command(*asked, "--limit", "1")
    assert command(*asked, "--force").exit_code == 0
    assert read_card(tmp_path / "mine.pt").thresholds == {"Testus altus": 0.8, "Testus bassus": 0.8}


def test_export_tells_how_to_go_on(best: Path, manifest: Path, tmp_path: Path) -> None:
    result = command(
        "export", best, tmp_path / "mine.pt", "--clips", manifest, "--licence", "CC0-1.0", "--force"
    )
    assert result.exit_code == 0
    assert "noise at -10 dBFS" in result.stdout
    assert "in place of" not in result.stdout
    assert (tmp_path / "mine.pt").is_file()
    again = command(
        "export", best, tmp_path / "mine.pt", "--clips", manifest, "--licence", "CC0-1.0", "--force"
    )
    assert "mine.pt, in place of the one that was there; try" in again.stdout
