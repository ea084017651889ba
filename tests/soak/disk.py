"""The daemon's own disk: small, and one that can fail as a memory card does."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTES = 400


class Disk:
    """Use it as a context manager. As root an ext4 in memory, or else a disk in memory; for others a mere folder."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.is_own = False
        """It may be filled to the last byte."""
        self.can_fail = False
        """`fail` and `mend` work."""
        self._image = place.with_name("card") / "image"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.place.mkdir(exist_ok=True)
        if os.geteuid() or not shutil.which("mount"):
            return self
        memory = ["-t", "tmpfs", "-o", f"size={MEGABYTES + 20}m", "tmpfs"]
        self._image.parent.mkdir(exist_ok=True)
        subprocess.run(["mount", *memory, self._image.parent], check=True)
        self._stack.callback(self._quietly, "umount", "-l", self._image.parent)
        self.is_own = True
        self._image.touch()
        os.truncate(self._image, MEGABYTES << 20)
        self.can_fail = bool(shutil.which("e2fsck")) and self._quietly("mkfs.ext4", "-q", self._image)
        self.can_fail = self.can_fail and self._mount()
        if not self.can_fail:
            self._image.unlink()
            subprocess.run(["mount", *memory, self.place], check=True)
        self._stack.callback(self._quietly, "umount", "-l", self.place)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fail(self) -> None:
        """From now on it can be read, and nothing be written, not even by who has a file open."""
        subprocess.run(["mount", "-o", "remount,abort", self.place], check=True)

    def mend(self) -> None:
        """What a restart of the machine does: check it, and mount it again. Nobody may use it meanwhile."""
        subprocess.run(["umount", self.place], check=True)
        subprocess.run(["e2fsck", "-fy", self._image], capture_output=True, check=False)
        assert self._mount()

    def _mount(self) -> bool:
        return self._quietly("mount", "-o", "loop", self._image, self.place)

    @staticmethod
    def _quietly(*words: str | Path) -> bool:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
