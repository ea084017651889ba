"""The species of one day, told once."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from birdwatchd.domain import DailySummary
from birdwatchd.store.cells import from_text, to_text
from birdwatchd.store.database import Database
from birdwatchd.store.detections import Choice, count, species
from birdwatchd.trust import EARLIEST

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

_TOLD = "daily summary"


def summary(database: Database, node: str, day: date, zone: tzinfo) -> DailySummary:
    """What was heard on that day, from midnight to midnight in the zone.

    Raises:
        StoreError: the database cannot be read.
    """
    since, until = (datetime.combine(one, time(), zone) for one in (day, day + timedelta(days=1)))
    found = count(database, Choice(since=since, until=until))
    # Afterwards: one that is heard for the first time in between is not missing.
    labels = {label.scientific_name: label for label in species(database)}
    return DailySummary(node, day, tuple((labels[one.scientific_name], one.detections) for one in found))


class Summaries:
    """Each day's summary once, also when the daemon was down at midnight. For one thread."""

    def __init__(self, database: Database, node: str, zone: Callable[[], tzinfo]) -> None:
        """On the file of `database`, the recorder's. `zone` is the station's at the moment."""
        self._path = database.path
        self._database = database.second()
        self._node = node
        self._zone = zone
        self._told = ""
        """What this run told last, also where the disk would not take the note."""

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def due(self, now: datetime) -> DailySummary | None:
        """The last day before today that was listened to; None when it was told already, as it is.

        Raises:
            StoreError: the database cannot be read.
        """
        zone = self._zone()
        midnight = datetime.combine(now.astimezone(zone).date(), time(), zone)
        # Reading has no turn to take: a day of many detections does not hold up whoever records.
        with Database.open(self._path, read_only=True) as reader:
            for row in reader.rows(
                "SELECT hour_utc FROM ledger WHERE hour_utc >= ? AND hour_utc < ? AND kind = 'captured'"
                " ORDER BY hour_utc DESC LIMIT 1",
                (to_text(EARLIEST), to_text(midnight)),
            ):
                day = from_text(row["hour_utc"]).astimezone(zone).date()
                found = summary(reader, self._node, day, zone)
                told = reader.rows("SELECT value FROM memory WHERE name = ?", (_TOLD,))
                is_told = _mark(found) in (self._told, *(row["value"] for row in told))
                return None if is_told else found
        return None

    def note(self, told: DailySummary) -> None:
        """It was told. Afterwards: what is told twice, as a crash came in between, is no harm; what is never told is.

        Raises:
            sqlite3.Error: the database cannot be written.
        """
        self._told = _mark(told)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO memory (name, value) VALUES (?, ?)", (_TOLD, _mark(told))
            )


def _mark(one: DailySummary) -> str:
    """With its numbers: a day that was told in part, by a clock that ran ahead, is told again."""
    return f"{sum(number for _, number in one.counts)} on {one.day}"
