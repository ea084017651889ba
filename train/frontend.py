"""From a waveform to what a network looks at: a log-mel spectrogram, its bands brought to one scale.

The scale of each band comes from the training clips and is fixed from then on. Nothing is standardised per clip or per
frame, so that a quiet noise stays quiet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

if TYPE_CHECKING:
    from train.settings import FrontEndSettings

FLOOR = 1e-9
"""Power below which nothing is told apart: -90 dB under a full-scale sine."""
AT_ONCE = 1
"""Clips."""


class LogMel(nn.Module):
    """Waveform (batch, samples) to log-mel bands (batch, 1, bands, frames), about zero mean and unit deviation."""

    window: Tensor
    bands: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, settings: FrontEndSettings, sample_rate: int) -> None:
        super().__init__()
        self.frame = round(settings.frame_seconds * sample_rate)
        self.hop = round(settings.hop_seconds * sample_rate)
        window = torch.hann_window(self.frame)
        # A full-scale sine has the power 1 in its bin.
        self.register_buffer("window", window * 2 / window.sum())
        high = min(settings.high_hz, sample_rate / 2)
        bands = mel_bands(settings.bands, self.frame, sample_rate, settings.low_hz, high)
        # A power is the sum of two squares: each weight stands twice, for the real and for the imaginary part.
        self.register_buffer("bands", bands.T.repeat_interleave(2, dim=0).contiguous())
        self.register_buffer("mean", torch.zeros(settings.bands, 1))
        self.register_buffer("deviation", torch.ones(settings.bands, 1))

    def forward(self, waveform: Tensor) -> Tensor:
        return (self.log_mel(waveform).sub(self.mean) / self.deviation).unsqueeze(1)

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Natural logarithm of the power in each band, (batch, bands, frames)."""
        whole = waveform.is_cuda or torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call] # torch leaves it so
        # What a processor has in its cache goes three times as fast.
        parts = (waveform,) if whole else torch.split(waveform, AT_ONCE)
        return torch.cat([self._log_mel(part) for part in parts])

    def _log_mel(self, waveform: Tensor) -> Tensor:
        middle = self.frame // 2  # of the first frame: the first sample
        padded = pad(waveform.unsqueeze(1), (middle, middle), mode="reflect").squeeze(1)
        frames = padded.unfold(1, self.frame, self.hop) * self.window  # (batch, frames, frame)
        squares = (
            torch.view_as_real(torch.fft.rfft(frames)).flatten(2).square_()
        )  # (batch, frames, 2 * frequencies)
        return (squares @ self.bands).add_(FLOOR).log_().transpose(1, 2)

    @torch.no_grad()
    def fit(self, waveforms: Tensor) -> None:
        """Take the scale of each band from `waveforms`, (clips, samples)."""
        # A few at a time: all at once would need gigabytes.
        parts = [self.log_mel(waveforms[start : start + 16]) for start in range(0, len(waveforms), 16)]
        log_mel = torch.cat(parts)  # (clips, bands, frames)
        self.mean.copy_(log_mel.mean(dim=(0, 2)).unsqueeze(1))
        # A band that never changes must not be blown up.
        self.deviation.copy_(log_mel.std(dim=(0, 2)).clamp(min=0.5).unsqueeze(1))


def mel_bands(count: int, frame: int, sample_rate: int, low_hz: float, high_hz: float) -> Tensor:
    """Triangles evenly spaced in mel (O'Shaughnessy's formula), each of sum 1: (count, frame / 2 + 1)."""
    edges_mel = torch.linspace(_mel(low_hz), _mel(high_hz), count + 2, dtype=torch.float64)
    edges = 700 * (10 ** (edges_mel / 2595) - 1)  # (count + 2,) hertz
    frequencies = torch.linspace(0, sample_rate / 2, frame // 2 + 1, dtype=torch.float64)
    rise = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    triangles = torch.minimum(rise, fall).clamp(min=0)  # (count, frequencies)
    # Narrow bands at the low end may fall between two frequencies: those take the nearest.
    nearest = (frequencies - edges[1:-1, None]).abs().argmin(dim=1)
    empty = triangles.sum(dim=1) == 0
    triangles[empty, nearest[empty]] = 1.0
    bands: Tensor = (triangles / triangles.sum(dim=1, keepdim=True)).float()
    return bands


def _mel(hertz: float) -> float:
    return 2595 * torch.log10(torch.tensor(1 + hertz / 700, dtype=torch.float64)).item()
