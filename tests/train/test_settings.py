from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from birdwatchd.errors import UserError
from train.networks import build
from train.settings import load_settings, settings_yaml

if TYPE_CHECKING:
    from pathlib import Path


def test_every_setting_can_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("network: cnn\ntraining: {epochs: 3, seed: 1}\n")
    settings = load_settings(
        path, ["training.epochs=7", "augment.snr_db=[0, 10]", "sample_rate=22050", "augment.waveform=false"]
    )
    assert settings.training.epochs == 7
    assert settings.training.seed == 1
    assert list(settings.augment.snr_db) == [0, 10]
    assert settings.sample_rate == 22050
    assert settings.augment.waveform is False


def test_rate_and_length_follow_the_network() -> None:
    assert (load_settings(None).sample_rate, load_settings(None).seconds) == (48000, 3.0)
    assert load_settings(None, ["network=cnn"]).seconds == 6.0


def test_what_is_printed_is_read_again(tmp_path: Path) -> None:
    settings = load_settings(None, ["network=resnet34", "augment.noise=[rain, wind.flac]"])
    (tmp_path / "all.yaml").write_text(settings_yaml(settings))
    assert load_settings(tmp_path / "all.yaml") == settings


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("epochs=3", "there is no setting epochs"),
        ("training.epochs=many", "training.epochs"),
        ("training.epochs", "write it as name=value"),
        ("network.name=cnn", "network"),
        ("training.epochs=[1", "not YAML"),
        ("seconds=6", "birdnet takes 3 s"),
        ("augment.snr_db=[30, 3]", "the lower comes first"),
        ("training.learning_rate=.nan", "training.learning_rate"),
        ("hop_seconds=0.00001", "hop_seconds: 1e-05 s are less than one sample at 48000 Hz"),
    ],
)
def test_a_mistake_is_told_with_its_place(override: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        load_settings(None, [override])


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("seconds=0.000001", "seconds: 1e-06 s are less than one sample at 32000 Hz"),
        ("sample_rate=1", r"front_end\.frame_seconds: 0\.032 s are less than one sample at 1 Hz"),
        ("front_end.hop_seconds=0.00001", r"front_end\.hop_seconds: 1e-05 s are less than one sample"),
        ("seconds=1e9", r"seconds: 1e\+09 are more than the 600"),
        ("seconds=0.01", r"front_end\.frame_seconds: 0\.032 are too many for clips of 0\.01 s"),
        ("front_end.low_hz=20000", r"front_end\.low_hz: 20000 Hz is not below .*14000 Hz"),
        ("sample_rate=100", r"front_end\.low_hz: 50 Hz is not below .* half the sample rate, 50 Hz"),
    ],
)
def test_what_cannot_be_computed_is_refused(override: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        load_settings(None, ["network=cnn", override])


def test_what_can_just_be_computed_is_taken(tmp_path: Path) -> None:
    """Hops may be longer than windows, and BirdNET's front end is its own."""
    load_settings(None, ["hop_seconds=6", "front_end.low_hz=20000"])
    settings = load_settings(None, ["network=cnn", "seconds=0.017", "sample_rate=32000"])
    assert build(settings, 2)(torch.zeros(2, settings.input_samples)).shape == (2, 2)
    (tmp_path / "all.yaml").write_text("network: cnn\nfront_end: {low_hz: 14000}\n")
    with pytest.raises(UserError, match=r"all\.yaml: front_end\.low_hz"):
        load_settings(tmp_path / "all.yaml")


@pytest.mark.parametrize(("text", "reason"), [("- a list", "holds no settings"), ("a: [", "is not YAML")])
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(UserError, match=reason):
        load_settings(tmp_path / "bad.yaml")


def test_the_learning_rate_follows_what_is_trained() -> None:
    head, whole = load_settings(None), load_settings(None, ["fine_tune=true"])
    assert whole.training.learning_rate < head.training.learning_rate
    assert load_settings(None, ["training.learning_rate=0.5"]).training.learning_rate == 0.5
