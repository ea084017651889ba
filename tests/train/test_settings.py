from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from birdwatchd.errors import UserError
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
    ],
)
def test_a_mistake_is_told_with_its_place(override: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        load_settings(None, [override])


@pytest.mark.parametrize(("text", "reason"), [("- a list", "holds no settings"), ("a: [", "is not YAML")])
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(UserError, match=reason):
        load_settings(tmp_path / "bad.yaml")


def test_the_learning_rate_follows_what_is_trained() -> None:
    head, whole = load_settings(None), load_settings(None, ["fine_tune=true"])
    assert whole.training.learning_rate < head.training.learning_rate
    assert load_settings(None, ["training.learning_rate=0.5"]).training.learning_rate == 0.5
