"""Retention: how much sound and how many pictures stay, and what gives way when there is no room."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from birdwatchd.store.inside import delete_file
from birdwatchd.store.leftovers import Leftovers
from birdwatchd.store.shelf import Shelf, order
from birdwatchd.trust import EARLIEST

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from birdwatchd.config.schema import Retention as Limits
    from birdwatchd.store.shelf import Contents, Item

logger = structlog.get_logger()

GIGABYTE = 10**9
DAY_SECONDS = 86400.0
WRITING_SECONDS = 60.0
"""No file takes longer to write."""
LOOKING_SHARE = 0.1
"""Of the time, at most, is spent on looking through the folder for what may give way."""
KNOWN = 1000
"""So many that may give way are remembered until it is looked through again: all of them would take much memory."""
BREATH_SECONDS = 0.001
"""Between two that are deleted, so that whoever wants to write has his turn."""


@dataclass(frozen=True, slots=True)
class Gone:
    """What was deleted."""

    clips: int = 0
    size: int = 0

    def __add__(self, other: Gone) -> Gone:
        return Gone(self.clips + other.clips, self.size + other.size)


class Retention:
    """Keeps the clips folder within its limits. For any number of threads.

    The limit holds at every moment, not once an hour: whoever writes asks for room first. Nobody waits while another looks
    through the folder, which may take minutes, unless the disk itself is full and it is not known what may go.
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
        self._leftovers = Leftovers(folder)
        self._looking = threading.Lock()
        """Of whoever looks through the folder; taken before the other."""
        self._lock = threading.Lock()
        """Of all that follows; for moments."""
        self._size = 0
        """Of all files, or a little more: what was written since the folder was last looked through is added up."""
        self._promised: dict[int, tuple[int, float]] = {}
        """What each thread asked room for last, and when: it may be writing it still."""
        self._next: deque[Item] = deque()
        """What gives way, in this order."""
        self._too_old = 0
        """So many of those, from the first on, go in any case."""
        self._is_all = True
        """Whether those are all that may give way."""
        self._left = 0
        """What those take together."""
        self._looked: float | None = None
        self._look_again = 0.0
        self._granted = self._known = 0
        """How often room was given, and how often when it was last begun to look: what was written since is not known yet."""
        self._made_way = Gone()
        # While somebody looks through the folder, what he may or may not have seen:
        self._meanwhile = 0
        """Bytes that were asked for."""
        self._went: set[tuple[str, str]] = set()
        """Folder and stem of what was deleted."""

    def limit(self, limits: Limits) -> None:
        """Other limits, from now on."""
        with self._lock:
            self._limits = limits

    def make_room(self, size: int) -> str:
        """Before this thread writes `size` bytes: older files give way.

        Returns:
            Nothing, or why there is no room.

        Raises:
            OSError: the disk does not answer.
        """
        thread = threading.get_ident()
        with self._lock:
            # What this thread asked for before is written by now, and found on the disk.
            self._promised.pop(thread, None)
        has_looked = False
        while True:
            with self._lock:
                refusal = self._make_room(size, has_looked=has_looked)
                if refusal == "":
                    self._promised[thread] = size, self._monotonic()
                    self._add(size)
                    self._granted += 1
                if refusal is not None:
                    return refusal
            if self._looking.locked():
                with self._looking:
                    pass  # what another finds is as good as what a second look would find after it
                has_looked = self._looked is not None
            else:
                self._look()
                has_looked = True

    def wrote(self, size: int) -> None:
        """This thread has written only `size` bytes of those that it asked room for."""
        with self._lock:
            promised, _ = self._promised.pop(threading.get_ident(), (size, 0.0))
            self._add(size - promised)

    @property
    def size(self) -> int | None:
        """Bytes below the clips folder; None until it was looked through for the first time. From any thread."""
        return None if self._looked is None else self._size

    def tidy(self) -> Gone:
        """Look through the folder, delete what is too old or too much, and say so. Meant for once an hour."""
        now = self._wall()
        contents = self._look(lambda found: self._find_too_old(found, now))
        too_old = Gone()
        while (gone := self._let_go_of_old()) is not None:
            too_old += gone
            time.sleep(BREATH_SECONDS)
        self._leftovers.sweep(contents, now)
        del contents
        while self._gives_way():
            time.sleep(BREATH_SECONDS)
        with self._lock:
            made_way, self._made_way = self._made_way, Gone()
            size = self._size
            self._is_all = self._is_all and len(self._next) <= KNOWN
            self._next = deque(islice(self._next, KNOWN))
            self._left = sum(item.size for item in self._next)
        for gone, why in ((too_old, "too old"), (made_way, "for want of room")):
            if gone.clips:
                logger.info("clips deleted", clips=gone.clips, bytes=gone.size, reason=why, left_bytes=size)
        return too_old + made_way

    def _find_too_old(self, contents: Contents, now: float) -> list[Item]:
        days = self._limits.days
        if days is None:
            return []
        old = [item for item in contents.items if now - item.written > days * DAY_SECONDS]
        if old and not self._is_seasoned():
            logger.info("clips stay: the clock has not been right for a day yet", clips=len(old))
            return []
        return [item for item in old if not self._renew(item, now)]

    def _renew(self, item: Item, now: float) -> bool:
        """A clip from before the clock was set is as old as if it had been written today, from today on."""
        if item.written >= EARLIEST.timestamp():
            return False
        for path in item.files:
            with suppress(OSError):
                os.utime(path, (now, now))
        return True

    def _let_go_of_old(self) -> Gone | None:
        """Delete the next that is too old; None when none is."""
        with self._lock:
            return self._delete(self._take()) if self._too_old else None

    def _gives_way(self) -> bool:
        """Whether there was too much, and the next has given way."""
        with self._lock:
            missing = self._missing(0)
            return missing > 0 and self._lets_one_go(missing)

    def _make_room(self, size: int, *, has_looked: bool) -> str | None:
        """Nothing, why there is no room, or None: then the folder has to be looked through."""
        if self._looked is None and not has_looked:
            # Somebody looks already, and brings it below the limit when he knows how much there is.
            return "" if self._looking.locked() and self._missing_on_disk(size) <= 0 else None
        while (missing := self._missing(size)) > 0:
            if self._lets_one_go(missing):
                continue
            is_known = (
                self._is_all
                and self._granted == self._known
                and self._monotonic() < self._look_again
                and not self._looking.locked()
            )
            return self._why(size, missing) if has_looked or is_known else None
        return ""

    def _lets_one_go(self, missing: float) -> bool:
        """Whether one has given way; in vain nothing is deleted."""
        if not self._next or missing > self._left:
            return False
        self._made_way += self._delete(self._take())
        return True

    def _missing(self, size: int) -> float:
        """How much has to go before `size` bytes may be written."""
        too_much = self._size + size - self._limits.gigabytes * GIGABYTE
        return max(too_much, self._missing_on_disk(size))

    def _missing_on_disk(self, size: int) -> float:
        return size + self._limits.free_gigabytes * GIGABYTE - self._free()

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

    def _look(self, find_too_old: Callable[[Contents], list[Item]] = lambda _: []) -> Contents:
        with self._looking:
            began = self._monotonic()
            with self._lock:
                self._meanwhile = sum(
                    size for size, asked in self._promised.values() if began - asked < WRITING_SECONDS
                )
                self._went.clear()
                granted = self._granted
            contents = self._shelf.look(self._judged())
            old = find_too_old(contents)
            names = {(item.folder, item.stem) for item in old}
            others = list(order(item for item in contents.items if (item.folder, item.stem) not in names))
            with self._lock:
                self._known = granted
                self._looked = self._monotonic()
                self._look_again = self._looked + (self._looked - began) / LOOKING_SHARE
                seen = sum(item.size for item in contents.items if (item.folder, item.stem) in self._went)
                self._size = contents.size - seen + self._meanwhile
                old = [item for item in old if (item.folder, item.stem) not in self._went]
                self._next = deque(old)
                self._next.extend(item for item in others if (item.folder, item.stem) not in self._went)
                self._too_old, self._is_all = len(old), True
                self._left = sum(item.size for item in self._next)
            return contents

    def _add(self, size: int) -> None:
        self._size += size
        self._meanwhile += size

    def _take(self) -> Item:
        self._too_old = max(0, self._too_old - 1)
        return self._next.popleft()

    def _delete(self, item: Item) -> Gone:
        self._left -= item.size
        # The sound first: what is left of a clip after a power cut is found by its sidecar, and goes next time.
        for path in sorted(item.files, key=lambda path: path.suffix == ".json"):
            try:
                delete_file(self._folder, path)
            except OSError as error:
                logger.warning("clip cannot be deleted", path=str(path), reason=error.strerror)
                return Gone()
        self._size -= item.size
        self._went.add((item.folder, item.stem))
        return Gone(1, item.size)
