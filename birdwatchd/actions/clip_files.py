"""The files of a detection: they appear whole, together, or not at all."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from birdwatchd.actions import GiveUp
from birdwatchd.on_disk import sync

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
    _make_folder(stem.parent)
    places = {suffix: stem.with_name(stem.name + suffix) for suffix in contents}
    parts = {suffix: place.with_name(f".{place.name}{PART}") for suffix, place in places.items()}
    moved: list[Path] = []
    try:
        with ExitStack() as stack:
            for suffix, content in contents.items():
                file = stack.enter_context(_create(parts[suffix]))
                # Held until all of them are in their places, or this process is dead: so others know which.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            for suffix, place in places.items():
                parts[suffix].replace(place)
                moved.append(place)
        sync(stem.parent)
    except BaseException:
        for path in (*parts.values(), *moved):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise


def _create(path: Path) -> BinaryIO:
    """Open it for writing; no link that somebody has put in its place is followed."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666), "wb")


def is_abandoned(part: Path) -> bool:
    """Whether whoever began to write this file has died. False where that cannot be told."""
    try:
        with part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _make_folder(folder: Path) -> None:
    """With its parents, so that a power cut does not take away a folder whose files are on the disk."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync(one.parent)
