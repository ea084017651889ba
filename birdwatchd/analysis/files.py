"""Which recordings are to be analysed, and in which order."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from birdwatchd.audio.recording import sound_files
from birdwatchd.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class File:
    """A recording that is to be analysed. Size and time tell whether it is still the one that was analysed."""

    path: Path
    size: int
    modified_ns: int

    @property
    def name(self) -> str:
        """What it is called in every output: its path as the user's arguments lead to it."""
        return str(self.path)


def find(paths: Iterable[Path]) -> list[File]:
    """The recordings that `paths`, files and folders, lead to: in the order of the paths, in folders in that of names.

    Each file is taken once. A file that is named by itself is taken whatever it is called.

    Raises:
        RecordingError: a path does not exist, or there is no recording in any of them.
    """
    paths = list(paths)
    missing = [path for path in paths if not os.path.lexists(path)]
    if missing:
        raise RecordingError(f"{missing[0]} does not exist: name recordings, or folders of recordings")
    found: dict[Path, File] = {}
    for named in paths:
        for path in sound_files(named) if named.is_dir() else [named]:
            found.setdefault(path.resolve(), _file(path))
    if not found:
        where = ", ".join(str(path) for path in paths)
        raise RecordingError(
            f"there are no recordings in {where}: name a folder with sound files (wav, flac, mp3 …)"
        )
    return list(found.values())


def _file(path: Path) -> File:
    try:
        status = path.stat()
    except OSError:  # a link to nothing, among others: the worker that opens it will say what is wrong
        return File(path, 0, 0)
    return File(path, status.st_size, status.st_mtime_ns)
