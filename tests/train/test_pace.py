"""How fast each step learns, and the average that follows the steps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from train.fit import follow, pace


def test_the_learning_rate_rises_in_a_line_and_falls_along_a_cosine_to_nothing() -> None:
    rates = [pace(step, 4, 12) for step in range(13)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[8] == pytest.approx(0.5)  # half way down
    assert rates[6] - rates[8] == pytest.approx(rates[8] - rates[10])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[12] == pytest.approx(0.0)


def test_without_a_warm_up_the_first_step_is_the_fastest() -> None:
    assert pace(0, 0, 12) == 1.0


def test_a_training_that_ends_within_its_warm_up_only_rises() -> None:
    assert [pace(step, 5, 3) for step in range(3)] == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert pace(5, 5, 5) == 1.0


def filled(value: float) -> nn.Sequential:
    """A layer whose weights and averages all have one value, and a count that is no float."""
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    for tensor in module.state_dict().values():
        tensor.fill_(value)
    return module


def test_the_average_follows_what_is_trained() -> None:
    average, network = filled(0.0), filled(8.0)
    for expected in (2.0, 3.5):
        follow(average, network, 0.75)
        state = average.state_dict()
        assert (
            state.pop("1.num_batches_tracked") == 8
        )  # the running mean and variance are averaged, counts are not
        for name, tensor in state.items():
            assert torch.equal(tensor, torch.full_like(tensor, expected)), name
    follow(average, network, 0.0)
    assert all(
        torch.equal(one, other) for one, other in zip(average.parameters(), network.parameters(), strict=True)
    )


def test_what_is_not_trained_is_not_averaged() -> None:
    average, network = filled(0.0), filled(8.0)
    network[0].requires_grad_(requires_grad=False)
    follow(average, network, 0.75)
    assert torch.equal(average.state_dict()["0.weight"], torch.zeros(3, 2))
    assert torch.equal(average.state_dict()["1.weight"], torch.full((3,), 2.0))
