"""Clips beside made-up detections, as `save_clip` and `camera` leave them."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from tests.pictures import picture

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.domain import Detection

RATE = 48000
BEFORE_SECONDS, AFTER_SECONDS = 3.0, 3.0


def keep_sound(folder: Path, detection: Detection, *, form: str = "flac", gap: float = 0.0) -> bytes:
    """Its clip, with 3 s on both sides, a 4 kHz tone where the detection is, and its sidecar; the file's bytes."""
    call = detection.end_sample - detection.start_sample
    first = detection.start_sample - round(BEFORE_SECONDS * RATE)
    length = call + round((BEFORE_SECONDS + AFTER_SECONDS) * RATE)
    at = np.arange(length) / RATE
    sounding = (at >= BEFORE_SECONDS) & (at < BEFORE_SECONDS + call / RATE)
    noise = np.random.default_rng(1).normal(0, 1e-3, length)
    sound = noise + 0.3 * np.sin(2 * np.pi * 4000 * at) * sounding
    file = BytesIO()
    soundfile.write(file, sound, RATE, format=form.upper(), subtype="VORBIS" if form == "ogg" else "PCM_16")
    gaps = [{"offset_seconds": 1.0, "missing_seconds": gap, "cause": "lost"}] if gap else []
    said = {
        "birdwatchd": "0.1.0",
        "clip": {
            "sample_rate": RATE,
            "samples": length,
            "first_sample": first,
            "gaps": gaps,
            "changes": {"high_pass_hz": 200.0},
        },
    }
    stem = folder / detection.clip_path
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_name(f"{stem.name}.json").write_text(json.dumps(said))
    stem.with_name(f"{stem.name}.{form}").write_bytes(file.getvalue())
    return file.getvalue()


def keep_picture(folder: Path, detection: Detection, number: int = 1) -> bytes:
    """A picture of it; its bytes."""
    stem = folder / detection.clip_path
    stem.parent.mkdir(parents=True, exist_ok=True)
    said = {
        "birdwatchd": "0.1.0",
        "picture": {
            "file": f"{stem.name}_{number}.jpg",
            "camera": "gate",
            "taken": "2026-05-09T06:42:11.000+02:00",
            "latency_seconds": 0.75,
        },
    }
    stem.with_name(f"{stem.name}_{number}.json").write_text(json.dumps(said))
    stem.with_name(f"{stem.name}_{number}.jpg").write_bytes(picture())
    return picture()
