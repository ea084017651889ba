"""What is not a bird is not reported: the real model in the real daemon, at the defaults.

Each sound is a source of its own, so that the ledger shows that every second of it was listened to.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from tests.shared import SHARED, needs_shared

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Sound = NDArray[np.float64]

RATE = 48000
SECONDS = 30


def at_level(sound: Sound, dbfs: float) -> Sound:
    """As loud as is asked for (root mean square)."""
    return np.asarray(sound * 10 ** (dbfs / 20) / np.sqrt(np.mean(sound**2)), dtype=np.float64)


def white(seed: int) -> Sound:
    return np.random.default_rng(seed).standard_normal(SECONDS * RATE)


def pink(seed: int) -> Sound:
    spectrum = np.fft.rfft(white(seed))
    spectrum[0] = 0
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    return np.asarray(np.fft.irfft(spectrum, SECONDS * RATE), dtype=np.float64)


def hum(harmonics: int) -> Sound:
    """Of the mains, 50 Hz."""
    turns = 2 * np.pi * 50 * np.arange(SECONDS * RATE) / RATE
    return np.asarray(sum(np.sin(n * turns + n) / n for n in range(1, harmonics + 1)), dtype=np.float64)


def test_noise_at_any_level_is_no_bird(birdnet_bundle: Path, tmp_path: Path) -> None:
    levels = range(-80, 0, 10)
    sounds = {f"white{-level}": at_level(white(-level), level) for level in levels}
    assert listen(sounds, birdnet_bundle, tmp_path) == []


def test_pink_noise_is_no_bird(birdnet_bundle: Path, tmp_path: Path) -> None:
    sounds = {f"pink{-level}": at_level(pink(-level), level) for level in (-70, -50, -30, -15)}
    assert listen(sounds, birdnet_bundle, tmp_path) == []


def test_silence_and_hum_are_no_birds(birdnet_bundle: Path, tmp_path: Path) -> None:
    sounds = {
        "hum": at_level(hum(1), -20),
        "hum-with-harmonics": at_level(hum(20), -20),
        "hum-in-noise": at_level(hum(20), -30) + at_level(white(1), -60),
        "zeros": np.zeros(SECONDS * RATE),
    }
    assert listen(sounds, birdnet_bundle, tmp_path) == []


@needs_shared
def test_speech_is_no_bird(birdnet_bundle: Path, tmp_path: Path) -> None:
    words = [soundfile.read(path) for path in sorted((SHARED / "speech").rglob("*.ogg"))]
    rate = words[0][1]
    pause = np.zeros(rate // 4)
    speech = np.concatenate([part for word, _ in words for part in (word, pause)])
    assert len(speech) > 60 * rate
    assert listen({"speech": speech}, birdnet_bundle, tmp_path, rate) == []


def listen(sounds: dict[str, Sound], bundle: Path, folder: Path, rate: int = RATE) -> list[str]:
    """What the daemon reports, once it is certain that it looked at every second that is not digital silence."""
    sources = []
    for name, sound in sounds.items():
        soundfile.write(folder / f"{name}.wav", np.clip(sound, -1, 1), rate, subtype="FLOAT")
        sources.append({"name": name, "kind": "recording", "path": f"{name}.wav", "speed": "fast"})
    settings = {"model": {"bundle": str(bundle)}, "sources": sources, "store": {"database": "heard.sqlite"}}
    config = folder / "config.yaml"
    config.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
    birdwatchd("run", "-c", config)
    analysed = dict.fromkeys(sounds, 0.0)
    for row in json.loads(birdwatchd("ledger", "-c", config, "--json")):
        analysed[row["source"]] += row["analysed_seconds"]
    for name, sound in sounds.items():
        assert analysed[name] == pytest.approx(len(sound) / rate if sound.any() else 0, abs=1.5), name
    found: list[dict[str, Any]] = json.loads(birdwatchd("detections", "-c", config, "--json"))
    return [f"{row['source']}: {row['common_name']} {row['score']:.2f}" for row in found]


def birdwatchd(*words: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "birdwatchd", *words], capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
