"""Retention: how much sound and how many pictures stay, and what gives way when there is no room."""

from __future__ import annotations

import os
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from birdwatchd.actions.clip_files import is_abandoned
from birdwatchd.store.inside import delete_file, delete_folder
from birdwatchd.store.shelf import PART, Shelf, order
from birdwatchd.trust import EARLIEST

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from birdwatchd.config.schema import Retention as Limits
    from birdwatchd.store.shelf import Contents, Item

logger = structlog.get_logger()

GIGABYTE = 10**9
DAY_SECONDS = 86400.0
WRITING_SECONDS = 60.0
"""No file takes longer to write."""
LOOKING_SHARE = 0.1
"""Of the time, at most, is spent on looking through the folder for what may give way."""
ABANDONED_SECONDS = DAY_SECONDS
"""Nobody goes on with an hour's recording that was written to so long ago, nor uses a folder."""
RECORDINGS = "recordings"
"""Where hours are, below the folder."""
PICTURE = ".png"
"""What lies beside a clip and has no sidecar of its own."""


@dataclass(frozen=True, slots=True)
class Gone:
    """What was deleted."""

    clips: int = 0
    size: int = 0

    def __add__(self, other: Gone) -> Gone:
        return Gone(self.clips + other.clips, self.size + other.size)


class Retention:
    """Keeps the clips folder within its limits. For any number of threads.

    The limit holds at every moment, not once an hour: whoever writes asks for room first.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        is_seasoned: Callable[[], bool] = lambda: True,
        judged: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """While the clock is not `is_seasoned`, nothing is deleted for its age.

        `judged` gives the clip paths of detections that somebody has judged: they give way last.
        """
        self._folder = folder
        self._limits = limits
        self._wall = wall
        self._monotonic = monotonic
        self._is_seasoned = is_seasoned
        self._judged = judged
        self._shelf = Shelf(folder)
        self._lock = threading.Lock()
        self._size = 0
        """Of all files, or a little more: what was written since the folder was last looked through is added up."""
        self._promised: dict[int, tuple[int, float]] = {}
        """What each thread asked room for last, and when: it may be writing it still."""
        self._next: Iterator[Item] = iter(())
        self._left = 0
        """What those take together."""
        self._looked: float | None = None
        self._look_again = 0.0
        self._is_newer = False
        """Something was written since."""
        self._made_way = Gone()
        self._unfinished: dict[Path, float] = {}
        """What was being written when it looked last, and when it was written to."""

    def limit(self, limits: Limits) -> None:
        """Other limits, from now on."""
        with self._lock:
            self._limits = limits

    def make_room(self, size: int) -> str:
        """Before this thread writes `size` bytes: older files give way.

        Returns:
            Nothing, or why there is no room.
        """
        with self._lock:
            # What this thread asked for before is written by now, and found on the disk.
            self._promised.pop(threading.get_ident(), None)
            refusal = self._make_room(size)
            if not refusal:
                self._promised[threading.get_ident()] = size, self._monotonic()
                self._size += size
                self._is_newer = True
            return refusal

    def wrote(self, size: int) -> None:
        """This thread has written only `size` bytes of those that it asked room for."""
        with self._lock:
            promised, _ = self._promised.pop(threading.get_ident(), (size, 0.0))
            self._size += size - promised

    @property
    def size(self) -> int | None:
        """Bytes below the clips folder; None until it was looked through for the first time. From any thread."""
        return None if self._looked is None else self._size

    def tidy(self) -> Gone:
        """Look through the folder, delete what is too old or too much, and say so. Meant for once an hour."""
        with self._lock:
            contents = self._look()
            now = self._wall()
            days = self._limits.days
            old = (
                []
                if days is None
                else [item for item in contents.items if now - item.written > days * DAY_SECONDS]
            )
            if old and not self._is_seasoned():
                logger.info("clips stay: the clock has not been right for a day yet", clips=len(old))
                old = []
            else:
                old = [item for item in old if not self._renew(item, now)]
            too_old = self._delete(old)
            if old:
                self._look()
            self._sweep(contents, now)
            made_way, self._made_way = self._made_way, Gone()
            self._make_room(0)
            made_way, self._made_way = made_way + self._made_way, Gone()
            size = self._size
        for gone, why in ((too_old, "too old"), (made_way, "for want of room")):
            if gone.clips:
                logger.info("clips deleted", clips=gone.clips, bytes=gone.size, reason=why, left_bytes=size)
        return too_old + made_way

    def _renew(self, item: Item, now: float) -> bool:
        """A clip from before the clock was set is as old as if it had been written today, from today on."""
        if item.written >= EARLIEST.timestamp():
            return False
        for path in item.files:
            with suppress(OSError):
                os.utime(path, (now, now))
        return True

    def _make_room(self, size: int) -> str:
        fresh = self._looked is None
        if fresh:
            self._look()
        while (missing := self._missing(size)) > 0:
            # In vain nothing is deleted.
            item = next(self._next, None) if missing <= self._left else None
            if item is not None:
                self._made_way += self._delete([item])
            elif fresh or (not self._is_newer and self._monotonic() < self._look_again):
                return self._why(size, missing)
            else:
                # What was written since then is not known yet.
                fresh = True
                self._look()
        return ""

    def _missing(self, size: int) -> float:
        """How much has to go before `size` bytes may be written."""
        too_much = self._size + size - self._limits.gigabytes * GIGABYTE
        return max(too_much, size + self._limits.free_gigabytes * GIGABYTE - self._free())

    def _free(self) -> int:
        folder = self._folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def _why(self, size: int, missing: float) -> str:
        if self._size + size > self._limits.gigabytes * GIGABYTE:
            limit = f"store.retention.gigabytes allows {self._limits.gigabytes:g}"
        else:
            limit = f"store.retention.free_gigabytes asks for {self._limits.free_gigabytes:g}"
        return (
            f"no room in {self._folder}: {limit}, {missing / GIGABYTE:.3f} more would have to go, "
            "and nothing is left that may be deleted"
        )

    def _look(self) -> Contents:
        began = self._monotonic()
        contents = self._shelf.look(self._judged())
        self._looked = self._monotonic()
        self._look_again = self._looked + (self._looked - began) / LOOKING_SHARE
        self._size = contents.size + sum(
            size for size, asked in self._promised.values() if began - asked < WRITING_SECONDS
        )
        self._is_newer = False
        self._left = sum(item.size for item in contents.items)
        self._next = order(contents.items)
        return contents

    def _delete(self, items: Iterable[Item]) -> Gone:
        gone = Gone()
        for item in items:
            # The sound first: what is left of a clip after a power cut is found by its sidecar, and goes next time.
            for path in sorted(item.files, key=lambda path: path.suffix == ".json"):
                try:
                    delete_file(self._folder, path)
                except OSError as error:
                    logger.warning("clip cannot be deleted", path=str(path), reason=error.strerror)
                    break
            else:
                gone += Gone(1, item.size)
            self._left -= item.size
        self._size -= gone.size
        return gone

    def _sweep(self, contents: Contents, now: float) -> None:
        """Take away what whoever wrote it will not finish, as he died, and folders that are empty."""
        parts = dict(contents.parts)
        dead = [path for path, written in parts.items() if self._is_dead(path, written, now)]
        for path in dead:
            delete_file(self._folder, path)
        self._unfinished = parts
        left = len(dead)
        for sidecar, described in contents.alone:
            part = described.with_name(f".{described.name}{PART}")
            # Looked up again: a moment ago it may just have been moved into its place.
            if not part.exists() and not described.exists():
                for path in (sidecar.with_suffix(PICTURE), sidecar):
                    delete_file(self._folder, path)
                left += 1
        if left:
            logger.warning("clips that were not finished are deleted", clips=left)
        for parent, folders, _ in os.walk(self._folder, topdown=False):
            for folder in folders:
                with suppress(OSError):  # it is not empty
                    path = Path(parent, folder)
                    if now - path.lstat().st_mtime > ABANDONED_SECONDS:
                        delete_folder(self._folder, path)

    def _is_dead(self, part: Path, written: float, now: float) -> bool:
        if self._folder / RECORDINGS not in part.parents:
            return is_abandoned(part)
        # What is recorded continuously has no lock, and is mended by who goes on with it. Not written since the last look
        # either: a clock that was set makes everything look old.
        return now - written > ABANDONED_SECONDS and self._unfinished.get(part) == written
