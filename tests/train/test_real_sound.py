"""Training on recordings of the world, for a fixed number of steps."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from birdwatchd.domain import Label
from birdwatchd.model.bundle import Card
from birdwatchd.model.catalog import models_folder
from birdwatchd.model.saving import save
from tests.shared import SHARED, needs_shared
from train.dataset import windows
from train.export import MAY_DIFFER, parity, trace
from train.fit import fit
from train.manifest import Row
from train.networks import build
from train.progress import Display
from train.settings import Settings, load_settings
from train.validate import mean_of_rows

if TYPE_CHECKING:
    from pathlib import Path

    from train.checkpoint import Trained

BUNDLE = models_folder() / "birdnet.pt"
needs_birdnet = pytest.mark.skipif(
    not BUNDLE.is_file(), reason=f"no {BUNDLE}: `birdwatchd model build birdnet` makes it"
)


def rows_of(kind: str, labels: set[str], folds: set[int], most: int) -> list[Row]:
    """At most so many recordings of each label."""
    found: dict[str, list[Row]] = {label: [] for label in labels}
    with (SHARED / "manifest.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            if line["set"] == kind and line["label"] in labels and int(line["fold"]) in folds:
                name = line["label"].replace("Acrocephalus_", "Acrocephalus ")
                end = 9.0 if kind == "warblers" else None
                found[line["label"]].append(Row(SHARED / line["path"], (name,), end=end, group=line["group"]))
    return [row for rows in found.values() for row in rows[:most]]


def trained(told: dict[str, Any], train: list[Row], folder: Path) -> Trained:
    settings = Settings.model_validate(told | {"device": "cpu"})
    return fit(settings, train, [], folder / "out", cache=folder / "cache", display=Display(silent=True))


def right(result: Trained, rows: list[Row], folder: Path) -> float:
    """Share of the rows whose best label is theirs."""
    cut = windows(rows, result.settings, result.labels, folder=folder / "cache")
    with torch.inference_mode():
        scores = [
            result.network(torch.from_numpy(cut.read(number)[np.newaxis])).numpy()
            for number in range(len(cut))
        ]
    means = mean_of_rows(np.concatenate(scores), cut.of_row, len(cut.rows))
    return float((means.argmax(axis=1) == cut.row_targets.argmax(axis=1)).mean())


@needs_shared
def test_a_network_from_scratch_tells_two_unlike_sounds_apart(tmp_path: Path) -> None:
    labels = {"rooster", "sea waves"}
    told = {
        "network": "cnn",
        "sample_rate": 16000,
        "seconds": 3.0,
        "hop_seconds": 2.0,
        "front_end": {"bands": 32, "hop_seconds": 0.02},
        "augment": {"mixup_probability": 0.0},
        "training": {
            "max_steps": 40,
            "epochs": 40,
            "batch_size": 8,
            "warmup_epochs": 1,
            "average_decay": 0.8,
        },
    }
    result = trained(told, rows_of("esc10", labels, {1, 2, 3}, 12), tmp_path)
    assert right(result, rows_of("esc10", labels, {4}, 8), tmp_path) >= 0.85


@needs_shared
@needs_birdnet
def test_what_is_heard_at_other_pitches_goes_into_the_bundle(tmp_path: Path) -> None:
    settings = load_settings(None, ["octaves=[-1, 0, 2]"])
    network = build(settings, 2).eval()
    torch.nn.init.normal_(network.head.layers[-1].weight, std=0.02)  # type: ignore[union-attr,index] # a Head
    traced, dims = trace(network, settings.input_samples)
    assert dims == 3 * 2048
    save(
        traced,
        tmp_path / "mine.pt",
        Card(
            name="mine",
            version="1",
            labels=(Label(0, "Testus altus", "High Tone"), Label(1, "Testus bassus", "Low Tone")),
            sample_rate=settings.sample_rate,
            input_seconds=settings.seconds,
            thresholds={},
            licence="CC0-1.0",
            embedding_dims=dims,
        ),
    )
    draw = np.random.default_rng(0)
    real = (draw.normal(0, 0.1, (3, settings.input_samples)) * draw.random((3, 1))).astype(np.float32)
    assert parity(network, tmp_path / "mine.pt", real) <= MAY_DIFFER


@needs_shared
@needs_birdnet
def test_a_head_on_birdnet_tells_warblers_apart_that_it_was_not_trained_on(tmp_path: Path) -> None:
    labels = {"Acrocephalus_arundinaceus", "Acrocephalus_palustris"}
    told = {"network": "birdnet", "augment": {"copies": 0}, "training": {"max_steps": 60, "batch_size": 16}}
    result = trained(told, rows_of("warblers", labels, {1, 2, 3}, 4), tmp_path)
    assert {label.scientific_name for label in result.labels} == {
        "Acrocephalus arundinaceus",
        "Acrocephalus palustris",
    }
    assert right(result, rows_of("warblers", labels, {4, 5}, 3), tmp_path) >= 0.8


@needs_shared
@needs_birdnet
@pytest.mark.long
@pytest.mark.timeout(600)
def test_birdnet_learns_whole_when_it_is_fine_tuned(tmp_path: Path) -> None:
    labels = {"Acrocephalus_arundinaceus", "Acrocephalus_palustris"}
    told = {
        "network": "birdnet",
        "fine_tune": True,
        "training": {"epochs": 4, "batch_size": 8, "warmup_epochs": 0, "learning_rate": 5e-4},
    }
    result = trained(told, rows_of("warblers", labels, {1, 2, 3}, 2), tmp_path)
    losses = [entry["loss"] for entry in result.history]
    assert losses[-1] < 0.8 * losses[0]
    settings = result.settings.model_copy(update={"fine_tune": False})
    moved, given = result.network.body.state_dict(), build(settings, 2).body.state_dict()
    assert all(not torch.equal(moved[name], given[name]) for name in ("stem.weight", "last.weight"))
    # It is kept whole, and no bundle is asked for what it has learnt.
    kept = torch.load(tmp_path / "out" / "best.pt", weights_only=True)["weights"]
    assert {f"body.{name}" for name in given} <= set(kept)
