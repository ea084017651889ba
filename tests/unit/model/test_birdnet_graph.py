"""The shortcuts of the front end beside the long way. That the whole scores as TFLite's does is tested in test_parity.py."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from birdwatchd.model.birdnet_graph import (
    INPUT_SAMPLES,
    SAMPLE_RATE,
    Bands,
    FrontEnd,
    Thinning,
    thinned,
    thinning_taps,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECONDS = torch.arange(INPUT_SAMPLES, dtype=torch.float64) / SAMPLE_RATE


def triangles(frame: int, highest: float) -> NDArray[np.float32]:
    """96 of them from 0 Hz to `highest`, each overlapping half of the next: (96, frame / 2 + 1)."""
    places = np.arange(frame // 2 + 1) * SAMPLE_RATE / frame / highest * 97  # in units of half a triangle
    weights: NDArray[np.float32] = np.maximum(0, 1 - np.abs(places - np.arange(1, 97)[:, None])).astype(
        np.float32
    )
    return weights


@cache
def bands(frame: int, hop: int, highest: float, *, thins: bool = False) -> Bands:
    """What they hear, neither raised to a power nor scaled."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)).astype(np.float32)
    weights = triangles(frame, highest)
    return Bands(window, weights, hop, power=0.5, scale=1.0, shift=0.0, thins=thins)


def the_long_way(waveform: torch.Tensor, of: Bands, frame: int, hop: int, highest: float) -> torch.Tensor:
    """Frames, window, FFT, bands, one after the other, in float64: (batch, frames, 96)."""
    window = torch.hann_window(frame, periodic=True, dtype=torch.float64)
    weights = torch.from_numpy(triangles(frame, highest)).double()
    spectrum = torch.fft.rfft(waveform.double().unfold(1, frame, hop) * window).real
    heard: torch.Tensor = (spectrum @ weights.T).flip(2).abs()
    return heard**of.exponent * of.scale + of.shift


@pytest.mark.parametrize(
    ("frame", "hop", "highest", "thins"),
    [(2048, 278, 3000, True), (2048, 278, 3000, False), (1024, 280, 15000, False)],
)
def test_bands_are_what_an_fft_gives(frame: int, hop: int, highest: float, thins: bool) -> None:
    one = bands(frame, hop, highest, thins=thins)
    waveform = torch.from_numpy(np.random.default_rng(1).normal(0, 0.2, (2, INPUT_SAMPLES))).float()
    mean = torch.tensor([[0.3], [-0.01]])
    heard = one(Thinning()(waveform) if thins else waveform, mean)
    expected = the_long_way(waveform + mean, one, frame, hop, highest)
    assert heard.shape == (2, 511, 96)
    torch.testing.assert_close(heard.double(), expected, rtol=0, atol=2e-6 * float(expected.max()))


@pytest.mark.parametrize("hz", [5000, 6500, 9000, 12_000, 15_000, 18_000, 21_000, 23_900])
def test_thinning_lets_no_high_tone_into_low_bands(hz: float) -> None:
    one = bands(2048, 278, 3000, thins=True)
    tone = torch.sin(2 * torch.pi * hz * SECONDS).float().unsqueeze(0)
    nothing = torch.zeros(1, 1)
    full_scale = one(Thinning()(torch.sin(2 * torch.pi * 1000 * SECONDS).float().unsqueeze(0)), nothing)
    leaked = one(Thinning()(tone), nothing) - the_long_way(tone, one, 2048, 278, 3000)
    assert float(leaked.abs().max()) < 1e-6 * float(full_scale.max())


@pytest.mark.parametrize("first", [0, -2])
def test_thinned_weights_are_the_old_ones_but_for_a_hundred_thousandth(first: int) -> None:
    """Of even frames and of odd ones. What is apart is the rim of the window, which no fewer samples can follow."""
    window = 0.5 - 0.5 * torch.cos(2 * torch.pi * torch.arange(2048, dtype=torch.float64) / 2048)
    cosines = torch.fft.rfft(torch.eye(2048, dtype=torch.float64)).real
    kernel = torch.from_numpy(triangles(2048, 3000)).double() @ cosines.T * window  # (96, 2048)
    fitted = thinned(kernel, first)
    torch.testing.assert_close(fitted, fitted.flip(1), rtol=0, atol=1e-9 * float(fitted.abs().max()))
    margin = Thinning.ORDER // 2 - first
    # What filter and fit make of each sample.
    heard = torch.zeros(96, 2048 + 2 * margin + 1, dtype=torch.float64)
    for number, weights in enumerate(fitted.T):
        begin = Thinning.STEP * number
        heard[:, begin : begin + Thinning.ORDER + 1] += torch.outer(weights, thinning_taps())
    apart = (heard - torch.nn.functional.pad(kernel, (margin, margin + 1))).norm(dim=1) / kernel.norm(dim=1)
    assert float(apart.max()) < 1.2e-5


def test_the_two_spectrograms_lie_side_by_side() -> None:
    low, high = bands(2048, 278, 3000, thins=True), bands(1024, 280, 15000)
    waveform = torch.from_numpy(np.random.default_rng(2).normal(0, 0.2, (2, INPUT_SAMPLES))).float()
    both = FrontEnd(low, high)(waveform)
    assert both.shape == (2, 96, 511, 2)
    assert both.is_contiguous()
    scaled = waveform - waveform.amin(dim=1, keepdim=True)
    scaled = (scaled / (scaled.amax(dim=1, keepdim=True) + 1e-6) - 0.5) * 2
    for channel, (one, frame, hop, highest) in enumerate(((low, 2048, 278, 3000), (high, 1024, 280, 15000))):
        expected = the_long_way(scaled, one, frame, hop, highest).transpose(1, 2)
        torch.testing.assert_close(
            both[..., channel].double(), expected, rtol=0, atol=3e-6 * float(expected.max())
        )
