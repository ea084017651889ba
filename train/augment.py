"""What is done to clips on the fly: gain, noise of the field and of all colours, mixing two, masks in the spectrogram.

Everything works on whole batches, on whatever device they lie, and draws from the generator it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from train.settings import AugmentSettings

TINY = 1e-10
COLOURS = (-1.0, 2.0)
"""Exponents x of 1/f^x: blue to brown."""


def augment(
    waveforms: Tensor,
    targets: Tensor,
    noise: Tensor | None,
    settings: AugmentSettings,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """New waveforms (batch, samples) and targets (batch, labels).

    `noise` (batch, samples) is field noise, one for each clip, or None where there is none.
    """
    waveforms, targets = mix_up(waveforms, targets, settings.mixup_probability, generator)
    batch = len(waveforms)
    if noise is not None:
        chosen = _chance(batch, settings.noise_probability, waveforms, generator)
        waveforms = add_noise(waveforms, noise, chosen, settings.snr_db, generator)
    chosen = _chance(batch, settings.coloured_probability, waveforms, generator)
    if bool(chosen.any()):
        coloured = torch.zeros_like(waveforms)
        coloured[chosen] = coloured_noise(int(chosen.sum()), waveforms, generator)
        waveforms = add_noise(waveforms, coloured, chosen, settings.snr_db, generator)
    gain_db = _uniform(batch, -settings.gain_db, settings.gain_db, waveforms, generator)
    # What the card would have clipped is clipped.
    return (waveforms * 10 ** (gain_db / 20)).clamp(-1, 1), targets


def mix_up(
    waveforms: Tensor, targets: Tensor, probability: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Add to some clips another of the batch, up to 6 dB weaker or louder: both are to be heard, whole.

    The sum is brought back to the level of the louder one.
    """
    batch = len(waveforms)
    partner = torch.randperm(batch, generator=generator, device=generator.device).to(waveforms.device)
    chosen = _chance(batch, probability, waveforms, generator)
    levels = _level(waveforms)  # (batch, 1)
    balance_db = _uniform(batch, -6.0, 6.0, waveforms, generator)
    scaled = waveforms[partner] * (levels / (levels[partner] + TINY)) * 10 ** (balance_db / 20)
    # Neither silence blown up, nor a clip that silence is measured by.
    audible = (levels > TINY) & (levels[partner] > TINY)
    use = chosen.unsqueeze(1) & audible
    mixed = waveforms + scaled
    mixed = mixed * (torch.maximum(levels, _level(scaled)) / (_level(mixed) + TINY))
    return torch.where(use, mixed, waveforms), torch.where(
        use, torch.maximum(targets, targets[partner]), targets
    )


def add_noise(
    waveforms: Tensor,
    noise: Tensor,
    chosen: Tensor,
    snr_db: tuple[float, float],
    generator: torch.Generator,
) -> Tensor:
    """Add `noise` (batch, samples) to the `chosen` (batch,) clips at a ratio drawn evenly from `snr_db`."""
    ratio_db = _uniform(len(waveforms), *snr_db, waveforms, generator)
    scale = _level(waveforms) / (_level(noise) + TINY) * 10 ** (-ratio_db / 20)
    audible = _level(noise) > TINY
    return torch.where(chosen.unsqueeze(1) & audible, waveforms + scale * noise, waveforms)


def coloured_noise(count: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """Noise (count, samples), each of another colour: power as 1/f^x, x drawn from `COLOURS`."""
    samples = like.shape[1]
    # A length that is quick to transform; the end is cut off.
    size = 1 << (samples - 1).bit_length()
    exponent = _uniform(count, *COLOURS, like, generator)  # (count, 1)
    phases = torch.rand(count, size // 2 + 1, generator=generator, device=generator.device).to(like)
    frequencies = torch.arange(size // 2 + 1, device=like.device).clamp(min=1)
    noise = torch.fft.irfft(torch.polar(frequencies ** (-exponent / 2), 2 * torch.pi * phases), n=size)
    cut: Tensor = noise[:, :samples]
    return cut


def mask(
    features: Tensor, settings: AugmentSettings, frames_per_second: float, generator: torch.Generator
) -> Tensor:
    """SpecAugment (Park et al. 2019): stripes of the bands and stretches of time of (batch, 1, bands, frames) become 0.

    0 is the mean of each band.
    """
    batch, _, bands, frames = features.shape
    hidden = torch.zeros(batch, 1, bands, frames, dtype=torch.bool, device=features.device)
    for _ in range(settings.band_masks):
        stripe = _stretch(batch, bands, settings.band_mask_width, features, generator)
        hidden |= stripe[:, None, :, None]
    width = max(1, round(settings.frame_mask_seconds * frames_per_second))
    for _ in range(settings.frame_masks):
        stretch = _stretch(batch, frames, width, features, generator)
        hidden |= stretch[:, None, None, :]
    return features.masked_fill(hidden, 0.0)


def _stretch(batch: int, size: int, widest: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """True within a stretch of up to `widest`, somewhere in `size`: (batch, size)."""
    width = _uniform(batch, 0, min(widest, size), like, generator)  # (batch, 1)
    start = _uniform(batch, 0, 1, like, generator) * (size - width)
    place = torch.arange(size, device=like.device)
    return (place >= start) & (place < start + width)


def _chance(batch: int, probability: float, like: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.rand(batch, generator=generator, device=generator.device).to(like.device)
    return drawn < probability


def _uniform(batch: int, low: float, high: float, like: Tensor, generator: torch.Generator) -> Tensor:
    """(batch, 1) between `low` and `high`."""
    drawn = torch.rand(batch, 1, generator=generator, device=generator.device)
    return (low + (high - low) * drawn).to(like.device)


def _level(waveforms: Tensor) -> Tensor:
    """Root mean square, (batch, 1)."""
    level: Tensor = torch.linalg.vector_norm(waveforms, dim=1, keepdim=True) / waveforms.shape[1] ** 0.5
    return level
