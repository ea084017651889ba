"""Reading and deleting below a folder, whatever links somebody has put into it."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def open_file(folder: Path, path: Path) -> BinaryIO:
    """Open the file `path`, which lies below `folder`, to read it.

    Raises:
        OSError: it is not there or cannot be read, it or a folder on the way to it is a link, or it is no file.
    """
    with _way_to(folder, path) as descriptor:
        # Whoever opens a pipe would wait for its other end.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        found = os.open(path.name, flags, dir_fd=descriptor)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise FileNotFoundError(f"{path} is no file")
    return os.fdopen(found, "rb")


def names_beside(folder: Path, path: Path) -> list[str]:
    """What lies in the folder that holds `path`, which lies below `folder`; nothing when there is no such folder.

    Raises:
        OSError: it cannot be read, or a folder on the way to it is a link.
    """
    try:
        with _way_to(folder, path) as descriptor:
            return os.listdir(descriptor)  # noqa: PTH208 - of a folder that is open
    except FileNotFoundError:
        return []


def delete_file(folder: Path, path: Path) -> None:
    """Delete the file `path`, which lies below `folder`; one that is gone is no fault. A link is deleted, not followed.

    Raises:
        OSError: it cannot be deleted, or a folder on the way to it is a link.
    """
    try:
        with _way_to(folder, path) as descriptor:
            os.unlink(path.name, dir_fd=descriptor)
    except FileNotFoundError:
        return


def delete_folder(folder: Path, path: Path) -> None:
    """Delete the empty folder `path`, which lies below `folder`.

    Raises:
        OSError: it is not empty, no folder, or a folder on the way to it is a link.
    """
    with _way_to(folder, path) as descriptor:
        os.rmdir(path.name, dir_fd=descriptor)


@contextmanager
def _way_to(folder: Path, path: Path) -> Iterator[int]:
    """The folder that holds `path`, open: each step is taken from the one before, so none can be exchanged meanwhile."""
    # The folder itself may be a link: its owner has said where it is.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in path.relative_to(folder).parts[:-1]:
            inner = os.open(
                name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor
            )
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)
