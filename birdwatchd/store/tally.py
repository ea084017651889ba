"""How a detection stands among its species: the third of the day, the first of the season, the first ever."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from birdwatchd.domain import Tally
from birdwatchd.store.cells import to_text

if TYPE_CHECKING:
    import sqlite3
    from datetime import date, tzinfo

    from birdwatchd.domain import Detection

SEASONS = (12, 9, 6, 3)
"""The months that a season begins in."""


def count(connection: sqlite3.Connection, detection: Detection, zone: tzinfo) -> Tally:
    """Count a detection that has been written, among those that were written before it.

    So a detection that is heard again, in a recording that is played twice, has the same tally as at first. Days and
    seasons are those of the sound.
    """
    day = detection.start.astimezone(zone).date()
    today = _between(day, day + timedelta(days=1), zone)
    season = season_of(day)
    return Tally(
        count_today=(count_today := 1 + _count(connection, detection, *today)),
        first_today=count_today == 1,
        # On a clock that was not set, nobody knows the season.
        first_of_season=detection.dating != "unset"
        and not _count(connection, detection, *_between(*season, zone), at_most=1),
        first_ever=not _count(connection, detection, "", "~", at_most=1),
    )


def season_of(day: date) -> tuple[date, date]:
    """The first day of the meteorological season that a day is in, and the first of the next."""
    month = next((month for month in SEASONS if day.month >= month), 12)
    begin = day.replace(year=day.year - (day.month < month), month=month, day=1)
    following = month % 12 + 3
    return begin, begin.replace(year=begin.year + (following < month), month=following)


def _between(first: date, after: date, zone: tzinfo) -> tuple[str, str]:
    return to_text(datetime.combine(first, time(), zone)), to_text(datetime.combine(after, time(), zone))


def _count(
    connection: sqlite3.Connection, detection: Detection, start: str, end: str, *, at_most: int = -1
) -> int:
    # Places in the table are in the order of first writing; the index by species has them, so no row is looked at.
    (number,) = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM detections INDEXED BY detections_by_species"
        " WHERE scientific_name = ? AND start_utc >= ? AND start_utc < ?"
        " AND rowid < (SELECT rowid FROM detections WHERE id = ?) LIMIT ?)",
        (detection.label.scientific_name, start, end, detection.id, at_most),
    ).fetchone()
    return int(number)
