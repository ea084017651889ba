"""What BirdNET hears at other speeds. The front end is left out here: what reaches it is looked at."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from birdwatchd.errors import UserError
from birdwatchd.model import birdnet_graph
from train.ear import Ear, Octaves
from train.settings import load_settings

RATE = 8000


def sine(hertz: float, seconds: float = 1.0) -> torch.Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(round(RATE * seconds)) / RATE)[None]


def loudest(sound: torch.Tensor) -> float:
    """The frequency of the loudest sine in the middle half of it, in hertz."""
    middle = sound[len(sound) // 4 : -len(sound) // 4]
    spectrum = torch.fft.rfft(middle * torch.hann_window(len(middle))).abs()
    return float(spectrum.argmax()) * RATE / len(middle)


@pytest.mark.parametrize(
    ("octave", "pieces", "heard"), [(0, 1, 500.0), (1, 1, 1000.0), (2, 1, 2000.0), (-1, 2, 250.0)]
)
def test_an_octave_is_a_doubled_frequency_at_the_same_level(octave: int, pieces: int, heard: float) -> None:
    found = Octaves(nn.Identity(), [octave])(sine(500))
    assert found.shape == (1, pieces, RATE)
    for piece in found[0]:
        assert loudest(piece) == pytest.approx(heard, abs=4)
        assert float(piece.std()) == pytest.approx(float(sine(500).std()), rel=0.02)


def test_what_is_too_high_for_an_octave_up_does_not_come_back_as_something_low() -> None:
    found = Octaves(nn.Identity(), [1])(sine(2500))
    assert float(found[0, 0, 200:3800].abs().max()) < 0.002


def test_an_octave_down_loses_nothing_and_keeps_the_order() -> None:
    sound = torch.cat([sine(500, 0.5), sine(1000, 0.5)], dim=1)
    first, second = Octaves(nn.Identity(), [-1])(sound)[0]
    assert loudest(first) == pytest.approx(250, abs=4)
    assert loudest(second) == pytest.approx(500, abs=4)


def test_every_octave_has_its_own_dims_and_batches_are_not_mixed() -> None:
    torch.manual_seed(0)
    ones = torch.ones(birdnet_graph.STAGES[-1][1]).numpy()
    ear = Ear([0, -1], ones, 0 * ones).eval()
    heard = torch.rand(2, 3, 96, 511, 2)
    with torch.inference_mode():
        both, alone = ear(heard), ear(heard[1:])
        plain = Ear([0], ones, 0 * ones).eval()
        plain.load_state_dict(ear.state_dict())
        as_recorded = plain(heard[:, :1])
    assert both.shape == (2, ear.dims) == (2, 2 * 2048)
    torch.testing.assert_close(both[1:], alone)
    torch.testing.assert_close(both[:, :2048], as_recorded)


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["octaves=[]"], "each pitch once"),
        (["octaves=[0, 0]"], "each pitch once"),
        (["octaves=[3]"], "octaves"),
        (["network=cnn", "octaves=[0, 1]"], "for the network birdnet"),
        (["members=2"], "leave members out"),
    ],
)
def test_octaves_and_members_that_cannot_be(overrides: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        load_settings(None, overrides)
