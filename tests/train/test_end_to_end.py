"""From folders of sound to a daemon that recognises a bird, by the commands alone and with real recordings."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from birdwatchd.model.bundle import read_card
from tests.shared import SHARED, needs_shared

if TYPE_CHECKING:
    from pathlib import Path

WARBLERS = ("Acrocephalus arundinaceus", "Acrocephalus dumetorum")
RECORDISTS = 5
NEGATIVES = 6
SECONDS = 12.0

pytestmark = [needs_shared, pytest.mark.timeout(600), pytest.mark.long]


def run(command: str, *arguments: str | Path, cwd: Path) -> str:
    """Run a command as its user does; returns standard output."""
    done = subprocess.run(
        [sys.executable, "-m", command, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def kept_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings as a person has them.

    In `birds/` a class folder each, in `unheard/` what nobody is trained on, one recordist for each species, and in
    `marks.csv` where somebody sings: in the first seconds of each.
    """
    folder = tmp_path_factory.mktemp("warblers")
    with (SHARED / "manifest.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    taken: dict[str, list[str]] = {}
    for species in WARBLERS:
        # One recording of each recordist.
        of_each = {
            line["group"]: line["path"] for line in lines if line["label"].replace("_", " ") == species
        }
        first, *taken[species] = list(of_each.values())[:RECORDISTS]
        copy(SHARED / first, folder / "unheard" / f"{species}.ogg")
    taken["background"] = [line["path"] for line in lines if line["set"] == "ambience"][:NEGATIVES]
    marks = ["file,start,end,label"]
    for label, paths in taken.items():
        for path in paths:
            recording = copy(SHARED / path, folder / "birds" / label / (SHARED / path).name)
            marks.append(f"{recording.name},0,{SECONDS},{label}")
    (folder / "marks.csv").write_text("\n".join(marks) + "\n")
    return folder


def copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    return target


@pytest.fixture(scope="module")
def bundle(kept_out: Path, birdnet_bundle: Path) -> Path:
    """The model, made by the commands alone."""
    quick = ["--set", f"bundle={birdnet_bundle}", "--set", "augment.copies=1", "--set", "training.epochs=20"]
    crop = ["--annotations", "marks.csv", "--seconds", str(SECONDS), "-o", "clips"]
    out = run("train", "crop", "birds", *crop, cwd=kept_out)
    made = len(WARBLERS) * (RECORDISTS - 1) + NEGATIVES
    assert out == f"{made} clips from {made} recording(s) in clips\n"
    run(
        "train",
        "list",
        "clips",
        "--negative",
        "background",
        "--split",
        "0.6,0.4,0",
        "-o",
        "birds.csv",
        cwd=kept_out,
    )
    run("train", "fit", "birds.csv", *quick, "-o", "training", "--cache", "cache", cwd=kept_out)
    run("train", "calibrate", "training/best.pt", "birds.csv", cwd=kept_out)
    licence = ["--licence", "CC-BY-NC-SA-4.0"]
    run("train", "export", "training/best.pt", "./mine.pt", "--clips", "birds.csv", *licence, cwd=kept_out)
    return kept_out / "mine.pt"


def test_the_card_is_whole(bundle: Path) -> None:
    card = read_card(bundle)
    assert tuple(label.scientific_name for label in card.labels) == WARBLERS
    assert set(card.thresholds) == set(WARBLERS)
    assert "precision 0.95" in card.calibrated_to
    assert "BirdNET" in card.attribution


@pytest.mark.parametrize("species", WARBLERS)
def test_analyze_recognises_a_recording_that_was_kept_out(bundle: Path, kept_out: Path, species: str) -> None:
    out = run(
        "birdwatchd", "analyze", kept_out / "unheard" / f"{species}.ogg", "--model", bundle, cwd=kept_out
    )
    assert {row["scientific_name"] for row in csv.DictReader(out.splitlines())} == {species}


def test_the_daemon_recognises_them_too(bundle: Path, kept_out: Path) -> None:
    (kept_out / "config.yaml").write_text(
        f"""\
model:
  bundle: {bundle}
sources:
  - name: reeds
    kind: recording
    path: {kept_out / "unheard"}
    speed: fast
store:
  database: {kept_out / "birds.sqlite"}
"""
    )
    run("birdwatchd", "run", "--config", "config.yaml", cwd=kept_out)
    out = run("birdwatchd", "detections", "--config", "config.yaml", "--json", cwd=kept_out)
    found = {row["scientific_name"] for row in json.loads(out)}
    assert found == set(WARBLERS)


def test_predict_and_evaluate_agree(bundle: Path, kept_out: Path) -> None:
    out = run("train", "predict", bundle, "unheard", "--top", "1", cwd=kept_out)
    for row in csv.DictReader(out.splitlines()):
        assert row["scientific_name"] in row["file"]
        assert row["claimed"] == "true"
    run(
        "train",
        "evaluate",
        "training/best.pt",
        "birds.csv",
        "--split",
        "validation",
        "-o",
        "judged",
        cwd=kept_out,
    )
    figures = json.loads((kept_out / "judged" / "metrics.json").read_text())
    assert figures["clips"]["accuracy"] == 1
    assert (kept_out / "judged" / "report.html").is_file()
