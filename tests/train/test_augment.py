from __future__ import annotations

import pytest
import torch

from train.augment import add_noise, augment, coloured_noise, mask, mix_up
from train.settings import AugmentSettings

CLIPS = 64
SAMPLES = 16000


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def level_db(waveforms: torch.Tensor) -> torch.Tensor:
    return 10 * waveforms.square().mean(dim=1).log10()


def test_noise_comes_at_the_ratio_that_was_asked_for() -> None:
    torch.manual_seed(0)
    clips = 0.1 * torch.randn(CLIPS, SAMPLES)
    noise = 0.003 * torch.randn(CLIPS, SAMPLES)
    chosen = torch.arange(CLIPS) % 2 == 0
    noisy = add_noise(clips, noise, chosen, (3.0, 30.0), generator())
    assert torch.equal(noisy[~chosen], clips[~chosen])
    ratio_db = level_db(clips[chosen]) - level_db(noisy[chosen] - clips[chosen])
    assert ratio_db.min() >= 2.9
    assert ratio_db.max() <= 30.1
    assert ratio_db.std() > 3


def test_two_clips_mixed_have_the_labels_of_both() -> None:
    torch.manual_seed(0)
    clips = 0.1 * torch.randn(CLIPS, SAMPLES)
    targets = torch.eye(CLIPS)
    mixed, labels = mix_up(clips, targets, 1.0, generator())
    assert ((labels.sum(dim=1) == 2) | (labels == targets).all(dim=1)).all()
    one, other = labels[0].nonzero().flatten().tolist()
    for part in (one, other):  # both are to be heard
        assert torch.nn.functional.cosine_similarity(mixed[0], clips[part], dim=0) > 0.3
    assert (level_db(mixed) - level_db(clips)).abs().max() < 7


def test_silence_takes_no_part_in_a_mixture() -> None:
    clips = torch.stack([torch.zeros(SAMPLES), 0.1 * torch.ones(SAMPLES)]).repeat(CLIPS // 2, 1)
    targets = torch.eye(2).repeat(CLIPS // 2, 1)
    mixed, labels = mix_up(clips, targets, 1.0, generator())
    assert torch.isfinite(mixed).all()
    assert not labels[0::2, 1].any()  # silence gets no label of what it was mixed with
    assert not labels[1::2, 0].any()


def test_colours_differ() -> None:
    noise = coloured_noise(CLIPS, torch.zeros(1, SAMPLES), generator())
    power = torch.fft.rfft(noise).abs().square()
    tilt_db = 10 * (power[:, 100:200].mean(dim=1) / power[:, 4000:8000].mean(dim=1)).log10()
    assert tilt_db.min() < -5  # blue
    assert tilt_db.max() > 20  # brown


def test_stripes_and_stretches_are_hidden_and_nothing_else() -> None:
    features = torch.ones(CLIPS, 1, 64, 300)
    settings = AugmentSettings(band_masks=1, band_mask_width=8, frame_masks=1, frame_mask_seconds=0.4)
    hidden = mask(features, settings, 100.0, generator()) == 0
    bands = hidden.all(dim=3).sum(dim=(1, 2))
    frames = hidden.all(dim=2).sum(dim=(1, 2))
    assert 0 < bands.max() <= 9
    assert 0 < frames.max() <= 41
    assert hidden.float().mean() < 0.3


def test_the_same_seed_gives_the_same_clips_and_another_does_not() -> None:
    torch.manual_seed(0)
    clips, targets, noise = 0.1 * torch.randn(4, SAMPLES), torch.eye(4), torch.randn(4, SAMPLES)
    settings = AugmentSettings()
    first, again = (augment(clips, targets, noise, settings, generator())[0] for _ in range(2))
    other = augment(clips, targets, noise, settings, torch.Generator().manual_seed(2))[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.abs().max() <= 1


@pytest.mark.parametrize("clips", [torch.zeros(4, SAMPLES), 0.1 * torch.ones(4, SAMPLES)])
def test_silence_stays_finite(clips: torch.Tensor) -> None:
    noisy, _ = augment(clips, torch.eye(4), torch.zeros(4, SAMPLES), AugmentSettings(), generator())
    assert torch.isfinite(noisy).all()
