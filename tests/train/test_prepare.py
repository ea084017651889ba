"""Noise of the field, from the folders that are named to the batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from birdwatchd.errors import UserError
from tests.train.sounds import tone, write
from train.manifest import Row
from train.prepare import Ready, prepare, sound_files
from train.processes import Process
from train.progress import Display
from train.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

RATE = 8000
HERTZ = (400, 2500)
NOISE_HERTZ = 1000


def prepared(folder: Path, noise: list[Path], *, rows: list[Row] | None = None) -> Ready:
    """Two tones to learn, with the noise in each clip as loud as they are, and nothing else done to them."""
    told: dict[str, Any] = {
        "network": "cnn",
        "sample_rate": RATE,
        "seconds": 1.0,
        "hop_seconds": 0.5,
        "front_end": {"bands": 32},
        "augment": {
            "gain_db": 0.0,
            "shift": False,
            "noise": noise,
            "noise_probability": 1.0,
            "snr_db": (0.0, 0.0),
            "coloured_probability": 0.0,
            "mixup_probability": 0.0,
        },
    }
    tones = rows or [
        Row(write(folder / f"{hertz}.wav", tone(1.0, hertz=hertz)), (str(hertz),)) for hertz in HERTZ
    ]
    return prepare(
        Settings.model_validate(told),
        tones,
        [],
        None,
        process=Process(0, 1, torch.device("cpu")),
        cache=folder / "cache",
        display=Display(silent=True),
    )


def test_noise_in_a_folder_reaches_every_batch_at_its_ratio(tmp_path: Path) -> None:
    ambience = tmp_path / "ambience"
    write(ambience / "wind" / "night.wav", tone(3.0, hertz=NOISE_HERTZ, level=0.01))
    cases: list[tuple[list[Path], float]] = [([], 0.0), ([ambience], 1.0)]
    for noise, share in cases:
        waveforms, _ = next(prepared(tmp_path, noise).inputs.batches([np.arange(2)], (0,)))
        levels = torch.fft.rfft(waveforms).abs()  # (2, hertz)
        for level, hertz in zip(levels, HERTZ, strict=True):
            assert float(level[NOISE_HERTZ] / level[hertz]) == pytest.approx(share, abs=0.02)


def test_folders_are_gone_through_and_files_taken_as_they_are(tmp_path: Path) -> None:
    rain = write(tmp_path / "b" / "deep" / "rain.WAV", tone(0.1))
    wind = write(tmp_path / "b" / "wind.flac", tone(0.1))
    road = write(tmp_path / "road.wav", tone(0.1))
    (tmp_path / "b" / "notes.txt").write_text("recorded at night")
    assert sound_files([road, tmp_path / "b"]) == [road, rain, wind]
    assert sound_files([]) == []


def test_noise_that_is_not_there_is_refused_before_any_clip_is_decoded(tmp_path: Path) -> None:
    rows = [Row(tmp_path / "gone.wav", ("low",)), Row(tmp_path / "gone.wav", ("high",))]
    with pytest.raises(
        UserError, match=r"augment\.noise: there is no .*ambience: name sound files or folders"
    ):
        prepared(tmp_path, [tmp_path / "ambience"], rows=rows)
    (tmp_path / "ambience").mkdir()
    (tmp_path / "ambience" / "notes.txt").write_text("no sound")
    with pytest.raises(UserError, match=r"augment\.noise: .*ambience has no sound files in it"):
        prepared(tmp_path, [tmp_path / "ambience"], rows=rows)


def test_noise_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wind.wav").write_bytes(b"RIFF but nothing else")
    with pytest.raises(UserError, match=r"none of the 1 recordings can be read; the first: .*wind\.wav"):
        prepared(tmp_path, [tmp_path / "wind.wav"])
