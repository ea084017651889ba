"""What nobody will finish, as whoever wrote it has died, and folders that are empty: found below the clips folder and taken away."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from birdwatchd.actions.clip_files import is_abandoned
from birdwatchd.store.inside import delete_file, delete_folder
from birdwatchd.store.shelf import PART

if TYPE_CHECKING:
    from birdwatchd.store.shelf import Contents

logger = structlog.get_logger()

ABANDONED_SECONDS = 86400.0
"""Nobody goes on with an hour's recording that was written to so long ago, nor uses a folder."""
RECORDINGS = "recordings"
"""Where hours are, below the folder."""
PICTURE = ".png"
"""What lies beside a clip and has no sidecar of its own."""


class Leftovers:
    """Of one clips folder. For one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unfinished: dict[Path, float] = {}
        """What was being written when it looked last, and when it was written to."""

    def sweep(self, contents: Contents, now: float) -> None:
        """Take them away; what cannot be deleted stays, is named in the log, and keeps nothing else from going."""
        parts = dict(contents.parts)
        left = sum(
            self._is_deleted(path) for path, written in parts.items() if self._is_dead(path, written, now)
        )
        self._unfinished = parts
        for sidecar, described in contents.alone:
            part = described.with_name(f".{described.name}{PART}")
            # Looked up again: a moment ago it may just have been moved into its place, or have given way.
            if sidecar.exists() and not part.exists() and not described.exists():
                left += all(self._is_deleted(path) for path in (sidecar.with_suffix(PICTURE), sidecar))
        if left:
            logger.warning("clips that were not finished are deleted", clips=left)
        for parent, folders, _ in os.walk(self._folder, topdown=False):
            for folder in folders:
                with suppress(OSError):  # it is not empty
                    path = Path(parent, folder)
                    if now - path.lstat().st_mtime > ABANDONED_SECONDS:
                        delete_folder(self._folder, path)

    def _is_deleted(self, path: Path) -> bool:
        try:
            delete_file(self._folder, path)
        except OSError as error:
            logger.warning("what was not finished cannot be deleted", path=str(path), reason=error.strerror)
            return False
        return True

    def _is_dead(self, part: Path, written: float, now: float) -> bool:
        if self._folder / RECORDINGS not in part.parents:
            return is_abandoned(part)
        # What is recorded continuously has no lock, and is mended by who goes on with it. Not written since the last look
        # either: a clock that was set makes everything look old.
        return now - written > ABANDONED_SECONDS and self._unfinished.get(part) == written
