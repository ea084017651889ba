"""A stand-in for a trained network: it needs no training, and knows a high tone and a low one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soundfile
import torch

from birdwatchd.domain import Label
from train.listener import Listener, from_network

if TYPE_CHECKING:
    from pathlib import Path

RATE = 16000
SECONDS = 2.0
LABELS = (Label(0, "Testus altus", "High Tone"), Label(1, "Testus bassus", "Low Tone"))
HERTZ = {"Testus altus": 4000.0, "Testus bassus": 1000.0, "": 2500.0}


class StandIn(torch.nn.Module):
    """Scores each tone by its band's share of the energy."""

    masks: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        hertz = torch.fft.rfftfreq(round(RATE * SECONDS), 1 / RATE)
        bands = [
            (hertz > HERTZ[label.scientific_name] * 0.9) & (hertz < HERTZ[label.scientific_name] * 1.1)
            for label in LABELS
        ]
        self.register_buffer("masks", torch.stack(bands).float())

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        power = torch.fft.rfft(waveform).abs().square()  # (batch, frequencies)
        return torch.sigmoid(12 * power @ self.masks.T / (power.sum(dim=1, keepdim=True) + 1e-6) - 6)


def stand_in() -> Listener:
    """The stand-in as a listener."""
    return from_network(StandIn(), name="stand-in", labels=LABELS, sample_rate=RATE, seconds=SECONDS)


def tone(path: Path, name: str, *, seconds: float = 2.0, seed: int = 0) -> Path:
    """Write the tone of a label with some noise; returns `path`."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).normal(0, 0.02, len(time))
    soundfile.write(path, (0.3 * np.sin(2 * np.pi * HERTZ[name] * time) + noise).astype(np.float32), RATE)
    return path
