"""A small real bundle, so that most tests need no BirdNET: it knows three tones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from birdwatchd.domain import Label
from birdwatchd.model.bundle import Card
from birdwatchd.model.saving import save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SAMPLE_RATE = 48000
INPUT_SECONDS = 3.0
BANDS_HZ = ((3600.0, 4400.0), (800.0, 1200.0), (240.0, 360.0))
LABELS = (
    Label(0, "Testus altus", "High Tone", "tesalt"),
    Label(1, "Testus bassus", "Low Tone", "tesbas"),
    Label(2, "Human vocal", "Human vocal"),
)
CARD = Card(
    name="tiny",
    version="1",
    labels=LABELS,
    sample_rate=SAMPLE_RATE,
    input_seconds=INPUT_SECONDS,
    thresholds={},
    licence="MIT",
    created="2026-01-01T00:00:00+00:00",
    embedding_dims=len(LABELS),
    source="made for tests",
    unranged=frozenset({"Human vocal"}),
    sounds=frozenset({"Human vocal"}),
)
GERMAN = b"Hochton\nTiefton\nMenschliche Stimme\n"


class FrontEnd(torch.nn.Module):
    """Share of the energy in each band, (batch, 3) in [0, 1]. Silence has none."""

    masks: torch.Tensor

    def __init__(self, samples: int) -> None:
        super().__init__()
        hertz = torch.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
        masks = torch.stack([((hertz >= low) & (hertz <= high)).float() for low, high in BANDS_HZ])
        self.register_buffer("masks", masks)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        power = torch.fft.rfft(waveform).abs().square()  # (batch, frequencies)
        shares: torch.Tensor = power @ self.masks.T / (power.sum(dim=1, keepdim=True) + 1e-9)
        return shares


class Tiny(torch.nn.Module):
    """Scores a band near 1 when most of the segment's energy lies in it."""

    def __init__(self, samples: int, labels: int = len(LABELS)) -> None:
        super().__init__()
        self.front_end = FrontEnd(samples)
        self.body = torch.nn.Linear(len(BANDS_HZ), labels)
        with torch.no_grad():
            self.body.weight.copy_(12 * torch.eye(labels, len(BANDS_HZ)))
            self.body.bias.fill_(-6.0)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        logits = self.body(self.embed(waveform).type_as(self.body.weight))
        return torch.sigmoid(logits.float())

    def embed(self, waveform: torch.Tensor) -> torch.Tensor:
        shares: torch.Tensor = self.front_end(waveform)
        return shares


class Stubborn(torch.nn.Module):
    """One that never returns from a segment which is too loud: a computation that hangs."""

    def __init__(self, tiny: torch.nn.Module) -> None:
        super().__init__()
        self.tiny = tiny

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        while bool(waveform.abs().mean() > 0.8):
            waveform = waveform * 1.0
        scores: torch.Tensor = self.tiny(waveform)
        return scores


class TinyRange(torch.nn.Module):
    """The high tone lives in the north, the low tone in the south; weeks do not matter."""

    def forward(self, place: torch.Tensor) -> torch.Tensor:  # (batch, 3): latitude, longitude, week
        north = (place[:, :1] >= 0).float()
        return torch.cat([north, 1 - north, torch.zeros_like(north)], dim=1)


def trace(module: torch.nn.Module, *methods: str, example: torch.Tensor) -> torch.jit.ScriptModule:
    """`module` as TorchScript, with these methods."""
    module.eval()
    traced = torch.jit.trace_module(  # type: ignore[no-untyped-call] # torch leaves it so
        module, dict.fromkeys(methods, example), check_trace=False
    )
    assert isinstance(traced, torch.jit.ScriptModule)
    return traced


def build_stubborn_bundle(path: Path) -> Path:
    """The tiny bundle, but for what it does with loud sound. Returns `path`."""
    samples = CARD.input_samples
    tiny = trace(Tiny(samples), "forward", example=torch.zeros(2, samples))
    module = torch.jit.script(Stubborn(tiny).eval())
    save(module, path, replace(CARD, embedding_dims=0), {})
    return path


def build_tiny_bundle(
    path: Path, *, card: Card = CARD, extra_files: Mapping[str, bytes] | None = None
) -> Path:
    """Write the bundle to `path`: 3 s at 48 kHz, with German names and a range model. Returns `path`."""
    samples = card.input_samples
    module = trace(Tiny(samples), "forward", "embed", example=torch.zeros(2, samples))
    range_model = trace(TinyRange(), "forward", example=torch.zeros(1, 3))
    files = {"names/de.txt": GERMAN, "range_model.pt": range_model.save_to_buffer()}
    save(module, path, card, files if extra_files is None else extra_files)
    return path
