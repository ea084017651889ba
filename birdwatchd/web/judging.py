"""What the review page and the API have in common: a verdict is written down, and the next detection is found."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from birdwatchd.errors import StoreError
from birdwatchd.store import queues, reviews
from birdwatchd.store.database import Database
from birdwatchd.store.faults import sentence
from birdwatchd.store.kept import SOUND_SUFFIXES, stem_of

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.domain import Detection
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
    return queues.upcoming(
        database, wish, lambda one: has_sound(house.clips_folder, one), after=after, count=count
    )


def has_sound(folder: Path, detection: Detection) -> bool:
    """Whether its clip is still there."""
    stem = stem_of(detection)
    if stem is None:
        return False
    return any((folder / stem).with_name(stem.name + suffix).is_file() for suffix in SOUND_SUFFIXES)
