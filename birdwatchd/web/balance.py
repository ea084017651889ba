"""The ledger's sums as bars: how much of a stretch of time was heard."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from birdwatchd.service.today import add_up
from birdwatchd.store.ledger import between

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, tzinfo

    from birdwatchd.domain import LedgerEntry
    from birdwatchd.service.status import Seconds
    from birdwatchd.store.database import Database

SLACK_SECONDS = 0.5
"""Less than that is rounding, and nothing lost."""


@dataclass(frozen=True, slots=True)
class Balance:
    """One source's seconds on one day."""

    day: date
    seconds: Seconds | None
    """None: nothing is known of that day."""

    @property
    def heard(self) -> float:
        """Share of the expected seconds that was captured, 0 to 1."""
        if self.seconds is None or self.seconds.expected <= 0:
            return 0.0
        return min(1.0, self.seconds.captured / self.seconds.expected)

    @property
    def verdict(self) -> str:
        """`well`, `note` (some of it is missing), `wrong` (most is), or `none`."""
        if self.seconds is None or self.seconds.expected <= 0:
            return "none"
        if self.seconds.expected - self.seconds.captured <= SLACK_SECONDS:
            return "well"
        return "note" if self.heard > 0.5 else "wrong"  # noqa: PLR2004 - half


def causes(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
    """Causes and their seconds, the gravest first; what is only rounding is left out."""
    found = [(cause, lost) for cause, lost in seconds.items() if lost > SLACK_SECONDS]
    return sorted(found, key=lambda one: -one[1])


def last_days(database: Database, zone: tzinfo, days: int, now: datetime) -> dict[str, list[Balance]]:
    """By source, the last days in the station's zone, the oldest first, today last.

    Raises:
        StoreError: the database cannot be read.
    """
    today = now.astimezone(zone).date()
    first = today - timedelta(days=days - 1)
    since = datetime.combine(first, datetime.min.time(), zone).astimezone(UTC)
    by_day: dict[date, list[LedgerEntry]] = defaultdict(list)
    for entry in between(database, since):
        by_day[entry.hour.astimezone(zone).date()].append(entry)
    sums = {day: add_up(entries) for day, entries in by_day.items()}
    names = sorted({name for one in sums.values() for name in one})
    calendar: Sequence[date] = [first + timedelta(days=number) for number in range(days)]
    return {name: [Balance(day, sums.get(day, {}).get(name)) for day in calendar] for name in names}
