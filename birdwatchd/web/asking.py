"""What is asked about a moment, by people and by programs, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from birdwatchd.errors import UserError
from birdwatchd.times import parse_moment, parse_seconds
from birdwatchd.why import Answer, Question, answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birdwatchd.store.database import Database
    from birdwatchd.web.house import House

LONGEST_SECONDS = 900.0
EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asked:
    """A moment, how much around it, and what is known of that."""

    at: datetime
    reach: timedelta
    answer: Answer


def ask(
    house: House,
    database: Database,
    *,
    at: str,
    within: str,
    species: Sequence[str],
    sources: Sequence[str],
) -> Asked:
    """Look it up.

    Raises:
        UserError: what was asked makes no sense; the message says why.
        StoreError: the database cannot be read.
    """
    now, zone = datetime.now(UTC), house.zone()
    moment = parse_moment(at, now, zone)
    if not EARLIEST < moment < LATEST:
        raise UserError(
            f"'{at}' is no time at which anything was heard; write for example 07:42 or 2026-05-09"
        )
    seconds = parse_seconds(within)
    if not 0 < seconds <= LONGEST_SECONDS:
        raise UserError(
            f"'{within}' is more than a quarter of an hour, or nothing; write for example 60s or 15m"
        )
    reach = timedelta(seconds=seconds)
    question = Question(
        moment - reach, moment + reach, zone, tuple(species), tuple(sources), house.config().store.trace_days
    )
    return Asked(moment, reach, answer(database, question, now))
