"""What is done to clips on the fly: gain, noise of the field and of all colours, mixing two, masks in the spectrogram.

Everything works on whole batches, on whatever device they lie, and draws from the generator it is given, one of the CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
    settings: AugmentSettings,
    generator: torch.Generator,
    *,
    noise: Noise | None = None,
    colours: Tensor | None = None,
) -> None:
    """Change `waveforms` (batch, samples) and `targets` (batch, labels), in place.

    `noise` is field noise for some of the clips, `colours` what `coloured_noise` made; None where there is none.
    """
    mix_up(waveforms, targets, settings.mixup_probability, generator)
    if noise is not None:
        add_noise(waveforms, noise, settings.snr_db, generator)
    if colours is not None:
        chosen = _chosen(len(waveforms), settings.coloured_probability, generator)
        cut = cut_from(colours, len(chosen), waveforms.shape[1], generator)
        add_noise(waveforms, Noise(chosen, cut), settings.snr_db, generator)
    gain_db = _uniform(len(waveforms), -settings.gain_db, settings.gain_db, waveforms, generator)
    # What the card would have clipped is clipped.
    waveforms.mul_(10 ** (gain_db / 20)).clamp_(-1, 1)


class Noise(NamedTuple):
    """Noise for some clips of a batch."""

    clips: Tensor
    """Their numbers, (n,)."""
    waveforms: Tensor
    """(n, samples)"""


def mix_up(waveforms: Tensor, targets: Tensor, probability: float, generator: torch.Generator) -> None:
    """Add to some clips another of the batch, up to 6 dB weaker or louder: both are to be heard, whole.

    The sum is brought back to the level of the louder one. `waveforms` and `targets` change in place.
    """
    chosen = _chosen(len(waveforms), probability, generator)
    partners = torch.randperm(len(waveforms), generator=generator)[chosen]
    balance_db = _uniform(len(chosen), -6.0, 6.0, waveforms, generator)
    clips, others = waveforms[chosen], waveforms[partners]
    level, level_of_other = _level(clips), _level(others)  # (n, 1)
    # Neither silence blown up, nor a clip that silence is measured by.
    audible = (level > TINY) & (level_of_other > TINY)
    scale = torch.where(audible, level / (level_of_other + TINY) * 10 ** (balance_db / 20), 0.0)
    mixed = clips.addcmul_(others, scale)
    wanted = torch.maximum(level, scale * level_of_other)
    waveforms[chosen] = mixed.mul_(torch.where(audible, wanted / (_level(mixed) + TINY), 1.0))
    targets[chosen] = torch.maximum(targets[chosen], targets[partners] * audible)


def add_noise(
    waveforms: Tensor, noise: Noise, snr_db: tuple[float, float], generator: torch.Generator
) -> None:
    """Add noise to its clips of `waveforms` (batch, samples), in place, at a ratio drawn evenly from `snr_db`."""
    clips = waveforms[noise.clips]
    ratio_db = _uniform(len(clips), *snr_db, waveforms, generator)
    level = _level(noise.waveforms)
    scale = torch.where(level > TINY, _level(clips) / (level + TINY) * 10 ** (-ratio_db / 20), 0.0)
    waveforms[noise.clips] = clips.addcmul_(noise.waveforms, scale)


def coloured_noise(count: int, samples: int, generator: torch.Generator) -> Tensor:
    """Noise (count, samples or more), each of another colour: power as 1/f^x, x evenly spaced over `COLOURS`.

    It may be gone through in a circle without a break.
    """
    # A length that is quick to transform.
    size = 1 << (samples - 1).bit_length()
    exponent = torch.linspace(*COLOURS, count).unsqueeze(1)
    phases = torch.rand(count, size // 2 + 1, generator=generator)
    frequencies = torch.arange(size // 2 + 1).clamp(min=1)
    noise: Tensor = torch.fft.irfft(
        torch.polar(frequencies ** (-exponent / 2), 2 * torch.pi * phases), n=size
    )
    return noise


def cut_from(colours: Tensor, count: int, samples: int, generator: torch.Generator) -> Tensor:
    """Stretches (count, samples) of some of the `colours`, from anywhere."""
    of = torch.randint(len(colours), (count,), generator=generator).tolist()
    starts = torch.randint(colours.shape[1], (count,), generator=generator).tolist()
    cut = colours.new_empty(count, samples)
    for row, colour, start in zip(cut, of, starts, strict=True):
        before_the_end = colours[colour, start : start + samples]
        row[: len(before_the_end)] = before_the_end
        row[len(before_the_end) :] = colours[colour, : samples - len(before_the_end)]
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


def _chosen(batch: int, probability: float, generator: torch.Generator) -> Tensor:
    """The numbers of those of `batch` clips that a chance of `probability` each has chosen."""
    return (torch.rand(batch, generator=generator) < probability).nonzero().squeeze(1)


def _uniform(batch: int, low: float, high: float, like: Tensor, generator: torch.Generator) -> Tensor:
    """(batch, 1) between `low` and `high`."""
    drawn = torch.rand(batch, 1, generator=generator)
    return (low + (high - low) * drawn).to(like.device)


def _level(waveforms: Tensor) -> Tensor:
    """Root mean square, (batch, 1)."""
    level: Tensor = torch.linalg.vector_norm(waveforms, dim=1, keepdim=True) / waveforms.shape[1] ** 0.5
    return level
