"""What is still to be read of a damaged database and of a backup: written down, lest a power cut have it forgotten."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import structlog

from birdwatchd.on_disk import whole
from birdwatchd.store.aside import UNREAD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = structlog.get_logger()


@dataclass(slots=True)
class Rest:
    """A mark on the disk, and what it says."""

    mark: Path
    reason: str
    """Why a new database is begun; empty when the log has it already."""
    left: list[tuple[str, int]]
    """The files to read, as they are called from the mark's folder, and the page to begin at."""

    @classmethod
    def begin(cls, aside: Path, reason: str, newest: Path | None, *, only_backup: bool = False) -> Self:
        """All of a database that is about to lie `aside`, and of the newest backup; on the disk on return.

        Raises:
            OSError: it cannot be written.
        """
        left = _from_the_beginning(aside, newest)[only_backup:]
        rest = cls(aside.with_name(aside.name + UNREAD), reason, left)
        try:
            rest._write()
        except OSError:
            with suppress(OSError):  # then it is one that says nothing
                rest.mark.unlink(missing_ok=True)
            raise
        return rest

    @classmethod
    def of(cls, path: Path, newest: Path | None) -> Iterator[Self]:
        """What is left of the damaged databases that were at `path`; `newest` is the backup, where a mark does not say."""
        for mark in sorted(path.parent.glob(f"{path.name}.damaged-*{UNREAD}")):
            rest = cls(mark, "", [])
            try:
                said = json.loads(mark.read_text())
                rest.left = [(str(name), int(page)) for name, page in said["left"]]
                rest.reason = str(said["reason"])
            except (OSError, ValueError, LookupError, TypeError):  # torn, or of an older birdwatchd
                rest.left = _from_the_beginning(rest.aside, newest)
            yield rest

    @property
    def aside(self) -> Path:
        """The damaged database."""
        return self.mark.with_name(self.mark.name.removesuffix(UNREAD))

    @property
    def backup(self) -> str:
        """The backup that is to be read, if one is."""
        return next((name for name, _ in self.left if name != self.aside.name), "")

    @property
    def is_there(self) -> bool:
        """False where the damaged database was never moved, or somebody has deleted it."""
        return self.aside.exists() or self.aside.name not in (name for name, _ in self.left)

    @property
    def next(self) -> tuple[Path, int]:
        """The file to read next, and the page to begin at."""
        name, page = self.left[0]
        return self.mark.parent / name, page

    def reach(self, page: int | None) -> None:
        """That file was read up to this page; None: to its end, or as far as it can be read."""
        name, _ = self.left.pop(0)
        if page is not None:
            self.left.insert(0, (name, page))
        self._save()

    def settle(self) -> None:
        """The log says why."""
        self.reason = ""
        self._save()

    def forget(self) -> None:
        """There is nothing to read."""
        self.left.clear()
        self.settle()

    def _save(self) -> None:
        try:
            if self.left or self.reason:
                self._write()
            else:
                self.mark.unlink(missing_ok=True)
        except OSError as error:  # then some of it is read once more
            logger.warning(
                "it cannot be noted how far a damaged database was read",
                path=str(self.mark),
                reason=error.strerror,
            )

    def _write(self) -> None:
        with whole(self.mark) as file:
            file.write(json.dumps({"reason": self.reason, "left": self.left}).encode())


def _from_the_beginning(aside: Path, newest: Path | None) -> list[tuple[str, int]]:
    return [(aside.name, 1), *([(str(newest.absolute()), 1)] if newest is not None else [])]
