from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
import torch

from birdwatchd.errors import UserError
from birdwatchd.model.bundle import Card, read_card
from birdwatchd.model.classifier import Classifier
from birdwatchd.model.saving import save
from tests.train.stand_in import LABELS, RATE, SECONDS, StandIn, tone
from train import checkpoint
from train.calibration import Calibration, calibration_path, write_calibration
from train.export import (
    MAY_DIFFER,
    Origin,
    kept_checkpoint,
    make_bundle,
    module_of,
    parity,
    refuse_to_replace,
    trace,
)
from train.fit import fit
from train.learnt import Learnt
from train.listener import listen
from train.manifest import Row, read_manifest, write_manifest
from train.networks import build
from train.platt import Line
from train.progress import Display
from train.quiet import Quiet, quiet_check, refuse_noisy
from train.settings import Settings, load_settings

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = round(RATE * SECONDS)
LINE = Line(np.array([0.5, 2.0]), np.array([0.3, -0.2]))
ORIGIN = Origin("3", "CC0-1.0", "tones", "CC0-1.0", "made in a test")


def sounds(folder: Path) -> Path:
    """A manifest of tones; returns it."""
    rows = [
        Row(tone(folder / f"{number}.wav", name, seconds=4.0, seed=number), (name,), split="train")
        for number, name in enumerate(["Testus altus", "Testus bassus"] * 2)
    ]
    write_manifest(folder / "tones.csv", [*rows, Row(folder / "gone.wav", ("Testus altus",))])
    return folder / "tones.csv"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a small network that was not trained at all."""
    path = tmp_path_factory.mktemp("checkpoint") / "best.pt"
    settings = load_settings(
        None, ["network=cnn", f"sample_rate={RATE}", f"seconds={SECONDS}", "hop_seconds=1"]
    )
    torch.manual_seed(0)
    checkpoint.save(path, build(settings, 2), LABELS, settings, metrics={"validation_macro_ap": 0.5})
    return path


def make(checkpoint: Path, path: Path, clips: Path, *, limit: float | None = None) -> list[Quiet]:
    """Make the bundle; returns what was said of silence and noise."""
    shown: list[Quiet] = []
    assert (
        make_bundle(checkpoint, path, clips=clips, origin=ORIGIN, limit=limit, show=shown.extend)
        <= MAY_DIFFER
    )
    return shown


def test_the_bundle_scores_as_the_calibrated_network_does(trained: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.pt"
    checkpoint.write_bytes(trained.read_bytes())
    write_calibration(
        checkpoint,
        Calibration(("Testus altus", "Testus bassus"), LINE, np.array([0.61, 0.72]), "precision 0.9"),
    )
    make(checkpoint, tmp_path / "out" / "mine.pt", sounds(tmp_path))
    segments = np.random.default_rng(0).normal(0, 0.1, (3, SAMPLES)).astype(np.float32)
    expected = listen(checkpoint).classify(segments)
    with Classifier.load(tmp_path / "out" / "mine.pt") as classifier:
        np.testing.assert_allclose(classifier.classify(segments), expected, atol=1e-5)
        assert classifier.embed(segments).shape == (3, classifier.card.embedding_dims)


def test_several_networks_side_by_side_are_one_bundle(tmp_path: Path) -> None:
    settings = load_settings(
        None, ["network=cnn", "members=2", f"sample_rate={RATE}", f"seconds={SECONDS}", "hop_seconds=1"]
    )
    checkpoint.save(tmp_path / "best.pt", build(settings, 2), LABELS, settings)
    make(tmp_path / "best.pt", tmp_path / "mine.pt", sounds(tmp_path))
    assert read_card(tmp_path / "mine.pt").embedding_dims == 2 * 256


def test_resnet34_is_trained_and_exported(tmp_path: Path) -> None:
    settings = load_settings(
        None,
        ["network=resnet34", f"sample_rate={RATE}", "seconds=0.5", "hop_seconds=2", "device=cpu",
         "front_end.bands=16", "training.batch_size=4", "training.max_steps=2"],
    )  # fmt: skip
    clips = sounds(tmp_path)
    trained = fit(
        settings, read_manifest(clips), [], tmp_path / "out", cache=tmp_path / "cache",
        display=Display(silent=True),
    )  # fmt: skip
    begun = build(settings, 2).head.state_dict()["layers.1.weight"]
    assert not torch.equal(trained.network.head.state_dict()["layers.1.weight"], begun)
    make(tmp_path / "out" / "best.pt", tmp_path / "bundle" / "mine.pt", clips)
    assert read_card(tmp_path / "bundle" / "mine.pt").embedding_dims == 512


def test_the_card_tells_all_that_is_known(trained: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.pt"
    checkpoint.write_bytes(trained.read_bytes())
    write_calibration(
        checkpoint,
        Calibration(("Testus altus", "Testus bassus"), LINE, np.array([0.61, 0.72]), "precision 0.9"),
    )
    make(checkpoint, tmp_path / "mine.pt", sounds(tmp_path))
    card = read_card(tmp_path / "mine.pt")
    assert (card.name, card.version, card.licence, card.source) == ("mine", "3", "CC0-1.0", "made in a test")
    assert card.labels == LABELS
    assert (card.sample_rate, card.input_seconds) == (RATE, SECONDS)
    assert card.thresholds == {"Testus altus": 0.61, "Testus bassus": 0.72}
    assert card.calibrated_to == "precision 0.9"
    assert card.trained_on == ({"name": "tones", "licence": "CC0-1.0", "clips": 5},)
    assert card.metrics == {"validation_macro_ap": 0.5}


def test_what_it_was_made_of_lies_beside_it_and_makes_it_again(trained: Path, tmp_path: Path) -> None:
    clips = sounds(tmp_path)
    make(trained, tmp_path / "mine.pt", clips)
    kept = kept_checkpoint(tmp_path / "mine.pt")
    assert checkpoint.load(kept).labels == LABELS
    make(kept, tmp_path / "mine.pt", clips)
    assert kept.exists()
    assert not calibration_path(kept).exists()


def test_silence_and_five_levels_of_noise_are_shown(trained: Path, tmp_path: Path) -> None:
    found = make(trained, tmp_path / "mine.pt", sounds(tmp_path))
    assert [one.sound for one in found] == [
        "silence",
        *(f"noise at {level} dBFS" for level in (-80, -60, -40, -20, -10)),
    ]


class Nervous(torch.nn.Module):
    """Hears the low tone in whatever is not silence."""

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        loud = (waveform.abs().amax(dim=1, keepdim=True) > 1e-3).float()
        return torch.cat([torch.zeros_like(loud), 0.9 * loud], dim=1)


def test_a_model_that_hears_birds_in_noise_is_refused() -> None:
    found = quiet_check(Nervous(), LABELS, SAMPLES)
    assert [one.score > 0.5 for one in found] == [False, False, True, True, True, True]
    with pytest.raises(UserError, match=r"hears Low Tone in noise at -60 dBFS .*--force"):
        refuse_noisy(found, {}, 0.5)


def test_a_threshold_below_the_limit_counts() -> None:
    found = [Quiet("silence", ((LABELS[0], 0.3), (LABELS[1], 0.1)))]
    refuse_noisy(found, {"Testus bassus": 0.2}, 0.5)
    with pytest.raises(UserError, match=r"hears Low Tone in silence .score 0\.10, at most 0\.05"):
        refuse_noisy(found, {"Testus bassus": 0.05}, 0.5)
    with pytest.raises(UserError, match=r"at most 0\.20"):
        refuse_noisy(found, {"Testus altus": 0.2}, 0.5)


def test_a_refused_model_leaves_what_was_there(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.pt").write_bytes(b"the old one")
    kept_checkpoint(tmp_path / "mine.pt").write_bytes(b"of the old one")
    with pytest.raises(UserError, match="--force"):
        make(trained, tmp_path / "mine.pt", sounds(tmp_path), limit=0.0)
    assert (tmp_path / "mine.pt").read_bytes() == b"the old one"
    assert not list(tmp_path.glob(".*"))


def test_a_bundle_that_export_did_not_make_is_not_written_over(
    trained: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    clips = sounds(tmp_path)
    other = tmp_path / "other.pt"
    other.write_bytes(tiny_bundle.read_bytes())
    with pytest.raises(UserError, match=r"other\.pt was not made by `export`"):
        make(trained, other, clips)
    kept_checkpoint(other).write_bytes(b"")
    settings = Settings.model_validate({"network": "birdnet", "bundle": str(other)})
    with pytest.raises(UserError, match=r"other\.pt is the backbone"):
        refuse_to_replace(other, settings)
    assert other.read_bytes() == tiny_bundle.read_bytes()
    refuse_to_replace(tmp_path / "new.pt", settings)
    refuse_to_replace(other, load_settings(None, ["network=cnn"]))


def test_the_card_counts_the_clips_that_were_trained_on(tmp_path: Path) -> None:
    clips = sounds(tmp_path)
    rows = [replace(row, fold=number % 3) for number, row in enumerate(read_manifest(clips)[:4])]
    write_manifest(clips, rows)
    settings = load_settings(
        None,
        ["network=cnn", f"sample_rate={RATE}", f"seconds={SECONDS}", "hop_seconds=1", "test_fold=0",
         "validation_fold=1"],
    )  # fmt: skip
    network = build(settings, 2)

    def counted(name: str, learnt: Learnt | None) -> object:
        checkpoint.save(tmp_path / "best.pt", network, LABELS, settings, learnt=learnt)
        make(tmp_path / "best.pt", tmp_path / name, clips)
        return read_card(tmp_path / name).trained_on[0]["clips"]

    assert counted("old.pt", None) == 1
    assert counted("new.pt", Learnt(torch.zeros((3, 3)), torch.zeros((0, 3)), "")) == 3


class Drifting(StandIn):
    """Scores otherwise when it is not traced: what tracing cannot see."""

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        scores = super().forward(waveform)
        tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call] # torch leaves it so
        return scores if tracing else scores * 0.99


def test_a_bundle_that_scores_otherwise_is_noticed(tmp_path: Path) -> None:
    module = module_of(Drifting(), None)
    traced, dims = trace(module, SAMPLES)
    assert dims == 0
    card = Card("x", "1", LABELS, RATE, SECONDS, {}, "CC0-1.0")
    save(traced, tmp_path / "x.pt", card)
    sound = tone(tmp_path / "a.wav", "Testus altus")
    real = soundfile.read(sound, dtype="float32")[0][None]
    assert parity(module, tmp_path / "x.pt", real) > 100 * MAY_DIFFER
    assert parity(module_of(StandIn(), None), tmp_path / "x.pt", real) <= MAY_DIFFER
