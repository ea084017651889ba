"""Several networks side by side."""

from __future__ import annotations

import torch
from torch import nn

from train.fit import Learner, loss_of
from train.networks import Network, SideHead, build
from train.settings import load_settings

SETTINGS = load_settings(
    None, ["network=cnn", "members=2", "sample_rate=8000", "seconds=1", "dropout=0", "front_end.bands=32"]
)


def network() -> Network:
    torch.manual_seed(0)
    made = build(SETTINGS, 3)
    assert isinstance(made.head, SideHead)
    for last in lasts(made):
        torch.nn.init.normal_(last.weight)
    return made


def lasts(made: Network) -> list[nn.Linear]:
    """The last layer of each head."""
    return [layer for layer in made.head.modules() if isinstance(layer, nn.Linear)]


def test_what_several_say_is_the_mean_of_what_each_of_them_says() -> None:
    made = network().eval()
    assert isinstance(made.head, SideHead)
    waveform = torch.randn(4, 8000) * 0.1
    with torch.inference_mode():
        embedding = made.embed(waveform)
        assert embedding.shape == (4, 2 * 256)
        first, second = (
            head(part) for head, part in zip(made.head.heads, embedding.chunk(2, dim=1), strict=True)
        )
        torch.testing.assert_close(made(waveform), torch.sigmoid((first + second) / 2))
        assert float((first - second).abs().max()) > 0.1


def test_each_of_several_learns_as_if_it_were_alone() -> None:
    made = network().train()
    assert isinstance(made.head, SideHead)
    waveform, targets = torch.randn(4, 8000) * 0.1, torch.eye(3)[[0, 1, 2, 0]]

    def gradient() -> torch.Tensor:
        made.zero_grad()
        logits = Learner(made, "waveform", SETTINGS)(waveform)
        assert logits.shape == (8, 3)
        loss_of(logits, targets, SETTINGS).backward()  # type: ignore[no-untyped-call] # torch leaves it so
        found = next(made.body.parameters()).grad
        assert found is not None
        return found.clone()

    before = gradient()
    with torch.no_grad():
        lasts(made)[1].bias.add_(3.0)  # the other one is wrong now, which is no affair of the first
    torch.testing.assert_close(gradient(), before)
