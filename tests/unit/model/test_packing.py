from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from birdwatchd.model.bundle import read_card
from birdwatchd.model.network import load_network
from birdwatchd.model.packing import can_pack, pack
from tests.tiny import trace

if TYPE_CHECKING:
    from pathlib import Path

needs_onednn = pytest.mark.skipif(not can_pack(), reason="torch has no oneDNN for x86-64 here")


@pytest.fixture(autouse=True)
def _drawn_alike() -> None:
    torch.manual_seed(0)


class TwoLayers(nn.Module):
    """One with a bias, one without; both methods use the first."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(37, 19)
        self.second = nn.Linear(19, 300, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, 5, 37) to (batch, 5, 300)."""
        scores: torch.Tensor = self.second(self.first(x))
        return scores

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, 5, 37) to (batch, 5, 19)."""
        embedding: torch.Tensor = self.first(x)
        return embedding


class Borrowed(nn.Module):
    """A linear layer whose weight is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, 3) to (batch, 4)."""
        return nn.functional.linear(x, self.weight * x.mean())


def frozen(network: nn.Module, example: torch.Tensor, *methods: str) -> torch.jit.ScriptModule:
    module = trace(network, "forward", *methods, example=example)
    found: torch.jit.ScriptModule = torch.jit.freeze(module, preserved_attrs=list(methods) or None)
    return found


@needs_onednn
def test_packed_layers_give_the_same_for_any_batch() -> None:
    network = TwoLayers()
    module = frozen(network, torch.randn(2, 5, 37), "embed")
    pack([module.graph, module.embed.graph])
    assert "aten::linear" not in str(module.graph)
    assert "aten::linear" not in str(module.embed.graph)
    for batch in (1, 2, 7):
        x = torch.randn(batch, 5, 37)[:, :, torch.randperm(37)]  # not as it lies in memory
        torch.testing.assert_close(module(x), network(x))
        torch.testing.assert_close(module.embed(x), network.embed(x))


@needs_onednn
@pytest.mark.parametrize("is_computed", [True, False])
def test_weights_that_are_computed_or_halved_stay_as_they_are(*, is_computed: bool) -> None:
    network: nn.Module = Borrowed() if is_computed else nn.Linear(3, 4).half()
    x = torch.randn(2, 3, dtype=next(network.parameters()).dtype)
    module = frozen(network, x)
    pack([module.graph])
    torch.testing.assert_close(module(x), network(x))
    assert "mkldnn" not in str(module.graph)


@needs_onednn
def test_birdnet_is_packed_when_it_is_loaded(birdnet_bundle: Path) -> None:
    network = load_network(birdnet_bundle, read_card(birdnet_bundle), device="cpu", precision="full")
    for graph in (network.graph, network.embed.graph):
        assert "aten::linear" not in str(graph)
        assert "ConstantMKLDNNTensor" in str(graph)


def test_where_it_cannot_be_done_a_bundle_still_runs(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert not can_pack()
    card = read_card(tiny_bundle)
    network = load_network(tiny_bundle, card, device="cpu", precision="full")
    assert "mkldnn" not in str(network.graph)
    assert network(torch.zeros(1, card.input_samples)).shape == (1, len(card.labels))
