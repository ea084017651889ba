"""Disks that are small, full or read-only."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk or become another user")


@contextmanager
def small_disk(place: Path, kilobytes: int = 1024) -> Iterator[Path]:
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", place],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no disk may be mounted here: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all the room there is."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
    return ballast


@contextmanager
def real_disk(place: Path, megabytes: int = 16) -> Iterator[Path]:
    """An ext4 of its own, in a file. `fail` makes it what a card becomes that the kernel has given up on."""
    image = place.with_suffix(".img")
    image.write_bytes(b"")
    os.truncate(image, megabytes * 1024 * 1024)
    place.mkdir()
    for words in (["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", str(image), str(place)]):
        try:
            made = subprocess.run(words, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip(f"no {words[0]} here")
        if made.returncode:
            pytest.skip(f"no disk may be made here: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fail(disk: Path) -> None:
    """From now on it can be read, and nothing be written, not even by who has a file open: as after an error of the card."""
    subprocess.run(["mount", "-o", "remount,abort", disk], check=True)
    with pytest.raises(OSError, match="Read-only"):
        (disk / "x").touch()
