"""The files of a detection: they appear whole, together, or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from birdwatchd.actions import GiveUp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from birdwatchd.domain import Detection

PART = ".part"
"""The end of a hidden file's name while it is written."""


def stem_of(folder: Path, detection: Detection) -> Path:
    """Where a detection's files lie, each behind its own suffix.

    Raises:
        GiveUp: it would be outside of the folder.
    """
    path = PurePosixPath(detection.clip_path or detection.id)
    if path.is_absolute() or ".." in path.parts:
        raise GiveUp(f"the clip path {path} leads out of {folder}")
    return folder / path


def write_together(stem: Path, contents: Mapping[str, bytes]) -> None:
    """Write a file for each suffix, beside its place; once all of them are on the disk, move them there in their order.

    Raises:
        OSError: nothing was written (a full disk, no permission).
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    places = {suffix: stem.with_name(stem.name + suffix) for suffix in contents}
    parts = {suffix: place.with_name(f".{place.name}{PART}") for suffix, place in places.items()}
    moved: list[Path] = []
    try:
        for suffix, content in contents.items():
            with parts[suffix].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for suffix, place in places.items():
            parts[suffix].replace(place)
            moved.append(place)
        _sync_folder(stem.parent)
    except BaseException:
        for path in (*parts.values(), *moved):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
