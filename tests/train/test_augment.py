from __future__ import annotations

import pytest
import torch

from train.augment import Noise, add_noise, augment, coloured_noise, cut_from, mask, mix_up
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
    noisy = clips.clone()
    add_noise(noisy, Noise(torch.arange(0, CLIPS, 2), noise[::2]), (3.0, 30.0), generator())
    assert torch.equal(noisy[1::2], clips[1::2])
    ratio_db = level_db(clips[::2]) - level_db(noisy[::2] - clips[::2])
    assert ratio_db.min() >= 2.9
    assert ratio_db.max() <= 30.1
    assert ratio_db.std() > 3


def test_two_clips_mixed_have_the_labels_of_both() -> None:
    torch.manual_seed(0)
    clips = 0.1 * torch.randn(CLIPS, SAMPLES)
    targets = torch.eye(CLIPS)
    mixed, labels = clips.clone(), targets.clone()
    mix_up(mixed, labels, 1.0, generator())
    assert ((labels.sum(dim=1) == 2) | (labels == targets).all(dim=1)).all()
    one, other = labels[0].nonzero().flatten().tolist()
    for part in (one, other):  # both are to be heard
        assert torch.nn.functional.cosine_similarity(mixed[0], clips[part], dim=0) > 0.3
    assert (level_db(mixed) - level_db(clips)).abs().max() < 7


def test_silence_takes_no_part_in_a_mixture() -> None:
    clips = torch.stack([torch.zeros(SAMPLES), 0.1 * torch.ones(SAMPLES)]).repeat(CLIPS // 2, 1)
    targets = torch.eye(2).repeat(CLIPS // 2, 1)
    labels = targets.clone()
    mix_up(clips, labels, 1.0, generator())
    assert torch.isfinite(clips).all()
    assert not clips[0::2].any()
    assert not labels[0::2, 1].any()  # silence gets no label of what it was mixed with
    assert not labels[1::2, 0].any()


def test_colours_differ() -> None:
    noise = coloured_noise(CLIPS, SAMPLES, generator())
    power = torch.fft.rfft(noise).abs().square()
    tilt_db = 10 * (power[:, 100:200].mean(dim=1) / power[:, 4000:8000].mean(dim=1)).log10()
    assert tilt_db.min() < -5  # blue
    assert tilt_db.max() > 20  # brown


def test_coloured_noise_is_cut_from_anywhere_and_goes_on_past_its_end() -> None:
    ramp = torch.arange(100.0).repeat(2, 1)
    cut = cut_from(ramp, CLIPS, 60, generator())
    assert ((cut[:, 1:] - cut[:, :-1]) % 100 == 1).all()
    assert len(set(cut[:, 0].tolist())) > CLIPS / 4


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
    clips, noise = 0.1 * torch.randn(4, SAMPLES), Noise(torch.arange(4), torch.randn(4, SAMPLES))
    colours = coloured_noise(4, SAMPLES, generator())
    first, again, other = clips.clone(), clips.clone(), clips.clone()
    for waveforms, seed in ((first, 1), (again, 1), (other, 2)):
        drawn = torch.Generator().manual_seed(seed)
        augment(waveforms, torch.eye(4), AugmentSettings(), drawn, noise=noise, colours=colours)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.abs().max() <= 1


@pytest.mark.parametrize("clips", [torch.zeros(4, SAMPLES), 0.1 * torch.ones(4, SAMPLES)])
def test_silence_stays_finite(clips: torch.Tensor) -> None:
    silent = Noise(torch.arange(4), torch.zeros(4, SAMPLES))
    augment(
        clips, torch.eye(4), AugmentSettings(), generator(), noise=silent, colours=torch.zeros(2, SAMPLES)
    )
    assert torch.isfinite(clips).all()
