"""What is kept of a detection: its sound, and the camera's pictures. Found by its own clip path; no link is followed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from birdwatchd.actions.picture import SUFFIXES as PICTURE_SUFFIXES
from birdwatchd.store.inside import names_beside, open_file
from birdwatchd.store.shelf import MOST_BYTES, SIDECAR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from birdwatchd.domain import Detection

SOUND_SUFFIXES = (".flac", ".wav", ".ogg", ".opus", ".mp3", ".m4a")
"""As `save_clip` writes them."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Sound that was never captured."""

    offset_seconds: float
    """In the clip: what lies before it and behind it are neighbours there."""
    seconds: float
    cause: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a clip was cut out of its source, as its sidecar tells."""

    sample_rate: int
    first_sample: int
    samples: int
    gaps: tuple[Missing, ...]
    changes: Mapping[str, float]
    """`high_pass_hz` and `gain_db`, where they were applied."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.samples / self.sample_rate

    def offset_seconds(self, sample: int) -> float:
        """Where a sample of the source lies in it; below 0 when before it."""
        return (sample - self.first_sample) / self.sample_rate


@dataclass(frozen=True, slots=True)
class Picture:
    """One that a camera took."""

    number: int
    file: Path
    camera: str
    taken: str
    """ISO time; empty where that is not known."""
    latency_seconds: float | None
    """From the start of the sound until it was complete."""


@dataclass(frozen=True, slots=True)
class Kept:
    """All files of one detection. Their paths are relative to the clips folder."""

    sound: Path | None
    cut: Cut | None
    pictures: tuple[Picture, ...]


NOTHING = Kept(None, None, ())


def look(folder: Path, detection: Detection) -> Kept:
    """What is there of it just now.

    Raises:
        OSError: the folder cannot be read.
    """
    stem = stem_of(detection)
    if stem is None:
        return NOTHING
    names = set(names_beside(folder, folder / stem))
    sound = next((stem.name + suffix for suffix in SOUND_SUFFIXES if stem.name + suffix in names), None)
    of_camera = re.compile(
        rf"{re.escape(stem.name)}_(\d{{1,6}})({'|'.join(map(re.escape, PICTURE_SUFFIXES.values()))})"
    )
    pictures = [
        _picture(folder, stem.with_name(name), int(found[1]))
        for name in names
        if (found := of_camera.fullmatch(name))
    ]
    return Kept(
        None if sound is None else stem.with_name(sound),
        None if sound is None else _cut(_said(folder, stem.with_name(stem.name + SIDECAR))),
        tuple(sorted(pictures, key=lambda one: one.number)),
    )


def with_sound(folder: Path, clip_paths: Iterable[str]) -> set[str]:
    """Those of these clip paths of whose detections the sound lies there just now. Each folder is looked at once."""
    found: set[str] = set()
    names: dict[Path, set[str]] = {}
    for clip_path in clip_paths:
        stem = _stem(clip_path)
        if stem is None:
            continue
        if stem.parent not in names:
            try:
                names[stem.parent] = set(names_beside(folder, folder / stem))
            except OSError:  # it cannot be read: nothing of it can be played
                names[stem.parent] = set()
        if any(stem.name + suffix in names[stem.parent] for suffix in SOUND_SUFFIXES):
            found.add(clip_path)
    return found


def stem_of(detection: Detection) -> Path | None:
    """Where its files lie below the folder, each behind its own suffix; None when it has no place there."""
    return _stem(detection.clip_path)


def _stem(clip_path: str) -> Path | None:
    path = PurePosixPath(clip_path)
    if not path.name or path.is_absolute() or ".." in path.parts or "\0" in clip_path:
        return None
    return Path(path)


def open_kept(folder: Path, file: Path) -> BinaryIO | None:
    """One of its files, open; None when it has gone meanwhile, or is a link or no file."""
    try:
        return open_file(folder, folder / file)
    except OSError:
        return None


def _picture(folder: Path, file: Path, number: int) -> Picture:
    said = _said(folder, file.with_suffix(SIDECAR)).get("picture")
    told: dict[str, Any] = said if isinstance(said, dict) else {}
    latency = told.get("latency_seconds")
    return Picture(
        number,
        file,
        str(told.get("camera", "")),
        str(told.get("taken", "")),
        float(latency) if isinstance(latency, (int, float)) else None,
    )


def _cut(said: dict[str, Any]) -> Cut | None:
    try:
        clip = said["clip"]
        return Cut(
            sample_rate=_positive(clip["sample_rate"]),
            first_sample=int(clip["first_sample"]),
            samples=_positive(clip["samples"]),
            gaps=tuple(
                Missing(float(gap["offset_seconds"]), float(gap["missing_seconds"]), str(gap["cause"]))
                for gap in clip["gaps"]
            ),
            changes={str(name): float(value) for name, value in clip["changes"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None  # somebody has changed it: the sound is there all the same


def _positive(number: Any) -> int:
    whole = int(number)
    if whole <= 0:
        raise ValueError(f"{number} is not above 0")
    return whole


def _said(folder: Path, sidecar: Path) -> dict[str, Any]:
    file = open_kept(folder, sidecar)
    if file is None:
        return {}
    with file:
        try:
            said = json.loads(file.read(MOST_BYTES))
        except (ValueError, RecursionError):
            return {}
    return said if isinstance(said, dict) else {}
