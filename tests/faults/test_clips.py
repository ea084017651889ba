"""A disk that is full while clips are written: nothing half-written, and on it goes when there is room again."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from birdwatchd.actions import Postpone
from tests.doubles import DAWN, FakeContext, sample_delivery, sample_detection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATE = 48000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """One megabyte."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a tmpfs")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("form", ["flac", "wav", "ogg"])
def test_a_full_disk_keeps_no_half_of_a_clip(small_disk: Path, form: str) -> None:
    from birdwatchd.actions.save_clip import SaveClip
    from birdwatchd.domain import Clip

    samples = np.random.default_rng(1).normal(0, 0.1, 3 * RATE).astype(np.float32)
    clip = Clip("garden", 0, len(samples), DAWN, RATE, samples, (), voice=False)
    action = SaveClip(SaveClip.Config.model_validate({"name": "keep", "kind": "save_clip", "format": form}))
    kept, refused = 0, list[str]()
    for number in range(40):
        detection = sample_detection(start_sample=RATE, end_sample=2 * RATE, clip_path=f"day/{number}")
        context = FakeContext(
            clips_folder=small_disk, delivery=sample_delivery(detection=detection), sound=clip
        )
        try:
            action.run(detection, context)
            kept += 1
        except Postpone as error:
            refused.append(str(error))
    assert kept
    assert all("No space left on device" in why for why in refused)
    assert refused
    found = sorted(path.name for path in (small_disk / "day").iterdir())
    assert len(found) == 3 * kept
    for path in (small_disk / "day").glob(f"*.{form}"):
        assert soundfile.info(path).frames == 3 * RATE
    # Room again: the delivery that was put off is done.
    for path in (small_disk / "day").iterdir():
        path.unlink()
    action.run(detection, context)
    assert len(list((small_disk / "day").iterdir())) == 3
