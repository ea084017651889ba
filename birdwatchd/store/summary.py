"""The species of one day."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from birdwatchd.domain import DailySummary
from birdwatchd.store.detections import Choice, count, species

if TYPE_CHECKING:
    from datetime import tzinfo

    from birdwatchd.store.database import Database


def summary(database: Database, node: str, day: date, zone: tzinfo) -> DailySummary:
    """What was heard on that day, from midnight to midnight in the zone.

    Raises:
        StoreError: the database cannot be read.
    """
    since, until = (datetime.combine(one, time(), zone) for one in (day, day + timedelta(days=1)))
    labels = {label.scientific_name: label for label in species(database)}
    found = count(database, Choice(since=since, until=until))
    return DailySummary(node, day, tuple((labels[one.scientific_name], one.detections) for one in found))
