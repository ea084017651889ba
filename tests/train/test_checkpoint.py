from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from birdwatchd.domain import Label
from birdwatchd.errors import UserError
from train import checkpoint
from train.networks import build
from train.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

LABELS = (Label(0, "Parus major", "Great Tit"), Label(1, "rain", "rain"))
SETTINGS = Settings.model_validate({"network": "cnn", "sample_rate": 8000, "seconds": 1.0})


def saved(path: Path) -> torch.nn.Module:
    torch.manual_seed(0)
    network = build(SETTINGS, len(LABELS)).eval()
    history = [{"epoch": 1.0, "loss": 0.5}]
    checkpoint.save(path, network, LABELS, SETTINGS, history=history, metrics={"validation_macro_ap": 0.9})
    return network


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    network = saved(tmp_path / "best.pt")
    trained = checkpoint.load(tmp_path / "best.pt")
    waveform = 0.1 * torch.randn(3, SETTINGS.input_samples)
    with torch.inference_mode():
        assert torch.equal(trained.network(waveform), network(waveform))
    assert trained.labels == LABELS
    assert trained.settings == SETTINGS
    assert trained.history[0]["loss"] == 0.5
    assert trained.metrics == {"validation_macro_ap": 0.9}
    assert not trained.network.training


def test_a_file_that_is_no_checkpoint_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("not a checkpoint")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "state.pt")
    for name, reason in (
        ("text.pt", "no checkpoint"),
        ("state.pt", "no checkpoint"),
        ("gone.pt", "there is no checkpoint"),
    ):
        with pytest.raises(UserError, match=reason) as refusal:
            checkpoint.load(tmp_path / name)
        assert "\n" not in str(refusal.value)


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "best.pt")
    content = (tmp_path / "best.pt").read_bytes()
    (tmp_path / "best.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="no checkpoint of train, or is damaged"):
        checkpoint.load(tmp_path / "best.pt")


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "best.pt")
    content = torch.load(tmp_path / "best.pt", weights_only=True)
    content["weights"]["body.layers.9.weight"] = torch.zeros(3)
    torch.save(content, tmp_path / "best.pt")
    with pytest.raises(UserError, match="of another network"):
        checkpoint.load(tmp_path / "best.pt")


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "best.pt")
    content = torch.load(tmp_path / "best.pt", weights_only=True)
    content["format"] = checkpoint.FORMAT + 1
    torch.save(content, tmp_path / "best.pt")
    with pytest.raises(UserError, match="newer format"):
        checkpoint.load(tmp_path / "best.pt")
