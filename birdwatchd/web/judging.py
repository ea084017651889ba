"""What the review page and the API have in common: a verdict is written down, and the next detection is found."""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from birdwatchd.errors import StoreError
from birdwatchd.store import queues, reviews
from birdwatchd.store.database import Database
from birdwatchd.store.faults import sentence
from birdwatchd.store.kept import SOUND_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.web.house import House

MOST_DAYS = 36_500
PERIODS = {7: "7 days", 30: "30 days", 365: "a year", 0: "all time"}
"""What one may look at, in days."""


def say(house: House, review: reviews.Review) -> reviews.Review:
    """Write down a verdict; how it was written down.

    Raises:
        LookupError: there is no such detection.
        StoreError: it cannot be written.
        ValueError: it makes no sense.
    """
    try:
        with Database.open_beside(house.database) as database:
            return reviews.add(database, review)
    except sqlite3.Error as error:
        raise StoreError(sentence(error, house.database)) from error


def turns(
    house: House,
    database: Database,
    queue: queues.Name,
    *,
    days: int,
    species: str = "",
    after: str = "",
    count: int = 2,
) -> queues.Upcoming:
    """What comes next: of the last so many `days` (0: of all time), and of one species or all."""
    now = datetime.now(UTC)
    since = now - timedelta(days=days) if days else None
    if queue == "new":
        zone = house.zone()
        since = datetime(now.astimezone(zone).year, 1, 1, tzinfo=zone)
    wish = queues.Wish(queue, since, species)
    return queues.upcoming(database, wish, Clips(house.clips_folder).has_sound, after=after, count=count)


class Clips:
    """What lies in the clips folder, for one request: each folder is looked into once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, set[str]] = {}

    def has_sound(self, clip_path: str) -> bool:
        """Whether the clip of such a path is still there."""
        place, _, stem = clip_path.rpartition("/")
        if not stem or "\0" in clip_path or place.startswith("/") or ".." in place.split("/"):
            return False
        names = self._names.get(place)
        if names is None:
            names = self._names[place] = _names(self._folder / place)
        return any(stem + suffix in names for suffix in SOUND_SUFFIXES)


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208 - thousands of names, and nothing else of them
    except OSError:
        return set()
