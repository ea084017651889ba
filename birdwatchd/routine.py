"""The daemon's routine: what it does now and then, by its schedule."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from birdwatchd.store.ledger import roll_up
from birdwatchd.store.runs import is_seasoned
from birdwatchd.store.vacuum import vacuum

if TYPE_CHECKING:
    from birdwatchd.running import Running
    from birdwatchd.service.schedule import Schedule
    from birdwatchd.service.station_clock import StationClock
    from birdwatchd.store.backup import Backups
    from birdwatchd.store.counts import Counting
    from birdwatchd.store.database import Database
    from birdwatchd.store.retention import Retention
    from birdwatchd.store.summary import Summaries

HEALTH_SECONDS = 60.0
"""How often actions are told how the node does."""
COUNTING_SECONDS = 60.0
"""How often it looks whether the counts are those of the station's zone."""
LEDGER_HOURS_KEPT = timedelta(days=400)
"""Of what is older, whole days are kept."""


def tidy_regularly(  # noqa: PLR0917 - each of another type
    schedule: Schedule,
    retention: Retention,
    backups: Backups,
    database: Database,
    clock: StationClock,
    counting: Counting,
) -> None:
    """What is done about what is old, and about counts that are not the zone's."""

    def roll_up_ledger() -> None:
        if is_seasoned(database, clock.now()):
            roll_up(database, clock.now() - LEDGER_HOURS_KEPT, schedule.zone)

    schedule.every(3600, "retention", retention.tidy, at_once=True)
    schedule.every(3600, "backup", lambda: backups.make_daily(database), at_once=True)
    schedule.every(COUNTING_SECONDS, "counts by day", counting.turn, at_once=True)
    schedule.daily(3, 30, "vacuum", lambda: vacuum(database))
    schedule.daily(3, 15, "ledger roll-up", roll_up_ledger)


def tell_regularly(running: Running, summaries: Summaries, clock: StationClock) -> None:
    """What actions are told, and what is done about their deliveries."""
    schedule, desk = running.schedule, running.desk

    def tell_day() -> None:
        found = summaries.due(clock.now()) if clock.is_set else None
        if found is not None:
            desk.inform(found)
            summaries.note(found)

    schedule.every(
        HEALTH_SECONDS, "health", lambda: desk.inform(running.health()), at_once=True, promptly=True
    )
    schedule.every(HEALTH_SECONDS, "deliveries", desk.tidy)
    schedule.daily(0, 1, "daily summary", tell_day)
    # Down at midnight, or on a clock that was set past it.
    schedule.every(3600, "daily summary, if it was missed", tell_day, at_once=True)
