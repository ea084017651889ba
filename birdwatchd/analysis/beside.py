"""Outputs that appear whole or not at all: written beside their place, and renamed."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from birdwatchd.errors import UserError
from birdwatchd.on_disk import sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A path to write to, a file or a folder; it takes the place of `path` when the block ends well.

    Files of a folder are moved into the folder that is there, one by one; what else it holds stays.

    Raises:
        UserError: it cannot be written; nothing is left of it.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        _discard(part)
        yield part
        _sync(part)
        if part.is_dir():
            _move_into(part, path)
        else:
            part.replace(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}): make room, or name another place"
        ) from error
    finally:
        _discard(part)


def _sync(part: Path) -> None:
    for path in [path for path in part.rglob("*") if path.is_file()] if part.is_dir() else [part]:
        sync(path)


def _move_into(part: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(part.rglob("*")):
        target = folder / path.relative_to(part)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            path.replace(target)


def _discard(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)
