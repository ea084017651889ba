"""The shortcuts of the front end beside the long way. That the whole scores as TFLite's does is tested in test_parity.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from birdwatchd.model.birdnet_graph import INPUT_SAMPLES, SAMPLE_RATE, Bands, FrontEnd, Thinning

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


def bands(frame: int, hop: int, highest: float, *, thins: bool = False) -> Bands:
    """What they hear, neither raised to a power nor scaled."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)).astype(np.float32)
    weights = triangles(frame, highest)
    return Bands(window, weights, hop, power=0.5, scale=1.0, shift=0.0, thins=thins)


def the_long_way(waveform: torch.Tensor, of: Bands, frame: int, hop: int, highest: float) -> torch.Tensor:
    """Frames, window, FFT, bands, one after the other, in float64: (batch, 96, frames)."""
    window = torch.hann_window(frame, periodic=True, dtype=torch.float64)
    weights = torch.from_numpy(triangles(frame, highest)).double()
    spectrum = torch.fft.rfft(waveform.double().unfold(1, frame, hop) * window).real
    heard: torch.Tensor = (spectrum @ weights.T).transpose(1, 2).flip(1).abs()
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
    assert heard.shape == (2, 96, 511)
    torch.testing.assert_close(heard.double(), expected, rtol=0, atol=2e-6 * float(expected.max()))


@pytest.mark.parametrize("hz", [5000, 12_000, 18_000, 21_000, 22_500, 23_900])
def test_thinning_lets_no_high_tone_into_low_bands(hz: float) -> None:
    one = bands(2048, 278, 3000, thins=True)
    tone = torch.sin(2 * torch.pi * hz * SECONDS).float().unsqueeze(0)
    nothing = torch.zeros(1, 1)
    full_scale = one(Thinning()(torch.sin(2 * torch.pi * 1000 * SECONDS).float().unsqueeze(0)), nothing)
    leaked = one(Thinning()(tone), nothing) - the_long_way(tone, one, 2048, 278, 3000)
    assert float(leaked.abs().max()) < 1e-6 * float(full_scale.max())


def test_the_two_spectrograms_lie_side_by_side() -> None:
    low, high = bands(2048, 278, 3000, thins=True), bands(1024, 280, 15000)
    waveform = torch.from_numpy(np.random.default_rng(2).normal(0, 0.2, (2, INPUT_SAMPLES))).float()
    both = FrontEnd(low, high)(waveform)
    assert both.shape == (2, 96, 511, 2)
    assert both.is_contiguous()
    scaled = waveform - waveform.amin(dim=1, keepdim=True)
    scaled = (scaled / (scaled.amax(dim=1, keepdim=True) + 1e-6) - 0.5) * 2
    for channel, (one, frame, hop, highest) in enumerate(((low, 2048, 278, 3000), (high, 1024, 280, 15000))):
        expected = the_long_way(scaled, one, frame, hop, highest)
        torch.testing.assert_close(
            both[..., channel].double(), expected, rtol=0, atol=3e-6 * float(expected.max())
        )
