from __future__ import annotations

import dataclasses
import zipfile
from typing import TYPE_CHECKING

import pytest
import torch

from birdwatchd.errors import BundleError, UserError
from birdwatchd.model.bundle import card_json, read_card
from birdwatchd.model.network import (
    choose_device,
    freeze,
    halve,
    load_network,
    open_module,
    probe,
    refuse_moved,
)
from tests.tiny import CARD, LABELS, Tiny, trace

if TYPE_CHECKING:
    from pathlib import Path

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


def save_unchecked(path: Path, network: torch.nn.Module, *methods: str, **changes: object) -> Path:
    """A bundle whose card need not fit its network."""
    module = trace(network, "forward", *methods, example=torch.zeros(1, CARD.input_samples))
    card = dataclasses.replace(CARD, **changes)  # type: ignore[arg-type] # the fields of Card, by name
    module.save(str(path), _extra_files={"card.json": card_json(card)})
    return path


def load(path: Path) -> torch.jit.ScriptModule:
    return load_network(path, read_card(path), device="cpu", precision="full")


class Unbounded(Tiny):
    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return super().forward(waveform) * 3 - 1


class Bodiless(torch.nn.Module):
    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return waveform[:, :3].sigmoid()


def test_a_loaded_network_classifies_and_embeds(tiny_bundle: Path) -> None:
    network = load(tiny_bundle)
    assert network(torch.zeros(2, CARD.input_samples)).shape == (2, 3)
    assert network.embed(torch.zeros(2, CARD.input_samples)).shape == (2, 3)


def test_labels_that_do_not_match_the_outputs_are_refused(tmp_path: Path) -> None:
    path = save_unchecked(tmp_path / "a.pt", Tiny(CARD.input_samples), "embed", labels=LABELS[:2])
    with pytest.raises(BundleError, match=r"output of shape \(3,\) a segment, but its card names 2 labels"):
        load(path)


def test_an_input_length_that_forward_does_not_take_is_refused(tmp_path: Path) -> None:
    path = save_unchecked(tmp_path / "a.pt", Tiny(CARD.input_samples), "embed", input_seconds=2.0)
    with pytest.raises(
        BundleError, match=r"does not accept the segments that its card names \(2 s at 48000 Hz\)"
    ):
        load(path)


def test_a_wrong_or_missing_embedding_is_refused(tmp_path: Path) -> None:
    wrong = save_unchecked(tmp_path / "a.pt", Tiny(CARD.input_samples), "embed", embedding_dims=7)
    with pytest.raises(BundleError, match=r"embedding of shape \(3,\) a segment, but its card names 7"):
        load(wrong)
    missing = save_unchecked(tmp_path / "b.pt", Tiny(CARD.input_samples))
    with pytest.raises(BundleError, match="has no `embed`"):
        load(missing)


def test_scores_outside_0_to_1_are_refused(tmp_path: Path) -> None:
    path = save_unchecked(tmp_path / "a.pt", Unbounded(CARD.input_samples), "embed")
    with pytest.raises(BundleError, match="not between 0 and 1"):
        load(path)


def test_an_archive_that_torch_cannot_read_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(tiny_bundle) as whole, zipfile.ZipFile(path, "w") as holed:
        for member in whole.namelist():
            if not member.endswith("data.pkl"):
                holed.writestr(member, whole.read(member))
    with pytest.raises(BundleError, match=r"is not TorchScript that torch .* can load"):
        load(path)


@no_gpu
def test_cuda_by_name_is_refused_where_there_is_none() -> None:
    with pytest.raises(UserError, match="no CUDA device here"):
        choose_device("cuda")
    assert choose_device("auto") == "cpu"


def test_half_precision_is_refused_on_the_cpu(tiny_bundle: Path) -> None:
    with pytest.raises(UserError, match="'half' is for CUDA"):
        load_network(tiny_bundle, read_card(tiny_bundle), device="cpu", precision="half")


def test_halving_leaves_the_front_end_and_the_scores_alone(tiny_bundle: Path) -> None:
    module, card = open_module(tiny_bundle), read_card(tiny_bundle)
    full = probe(module, tiny_bundle, card)
    halve(module, tiny_bundle)
    assert module.front_end.masks.dtype == torch.float32
    assert module.body.weight.dtype == torch.float16
    half = probe(freeze(module, card), tiny_bundle, card)
    assert not torch.equal(half, full)
    refuse_moved(full, half, tiny_bundle)


@pytest.mark.parametrize("moved", [0.53, float("nan")])
def test_half_precision_that_moves_scores_is_refused(tiny_bundle: Path, moved: float) -> None:
    full = torch.full((2, 3), 0.5)
    with pytest.raises(UserError, match="half precision moves a score"):
        refuse_moved(full, torch.full((2, 3), moved), tiny_bundle)


def test_a_network_without_body_cannot_be_halved(tmp_path: Path) -> None:
    path = save_unchecked(tmp_path / "a.pt", Bodiless(), embedding_dims=0)
    with pytest.raises(UserError, match="has no `body`"):
        halve(open_module(path), path)
