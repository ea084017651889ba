"""What becomes of a delivery after an attempt."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

from birdwatchd.actions import GiveUp, Postpone
from birdwatchd.audio.clips import GONE
from birdwatchd.store.deliveries import Outcome
from birdwatchd.store.outbox import FAR

if TYPE_CHECKING:
    from datetime import datetime

    from birdwatchd.dispatch.context import Task
    from birdwatchd.domain import DeliveryStatus
    from birdwatchd.store.deliveries import Entry, Kind

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 300.0
SHORTEST_PAUSE_SECONDS = 0.05
"""So that an action that says `Postpone` and no more does not keep a core busy."""
LOST = "audio gone"
TOO_OLD: dict[Kind, DeliveryStatus] = {"durable": "dead", "ephemeral": "expired", "bounded": "lost"}
"""What a delivery is, once it is worth nothing any more."""


def pause_seconds(attempts: int) -> float:
    """How long to wait after so many failed attempts: twice as long each time, and never quite the same."""
    doubled = FIRST_PAUSE_SECONDS * 2.0 ** min(attempts, 20)
    return min(LONGEST_PAUSE_SECONDS, doubled) * random.uniform(0.5, 1.0)  # noqa: S311 - it keeps no secret


def judge(task: Task, error: BaseException | None, now: datetime) -> Outcome:
    """What became of an attempt that raised `error`, or did not."""
    entry, notes = task.entry, task.context.notes
    attempts = entry.delivery.attempts + 1
    if error is None:
        return Outcome(entry.number, "done", attempts, notes=notes)
    if entry.kind == "bounded" and task.context.is_sound_gone:
        return Outcome(entry.number, "lost", attempts, f"{LOST}: {GONE}", notes=notes)
    if isinstance(error, GiveUp):
        return Outcome(entry.number, "dead", attempts, words(error), notes=notes)
    seconds = error.seconds if isinstance(error, Postpone) else None
    if seconds is None:
        seconds = pause_seconds(attempts)
    again = now + min(FAR, timedelta(seconds=max(SHORTEST_PAUSE_SECONDS, seconds)))
    return Outcome(entry.number, "waiting", attempts, words(error), again, notes=notes)


def hopeless(entry: Entry, run_id: str, now: datetime) -> Outcome | None:
    """What becomes of a delivery that need not be tried; None for one that may be."""
    attempts, error = entry.delivery.attempts, entry.delivery.error
    if entry.kind == "bounded" and entry.run_id != run_id:
        reason = f"{LOST}: it was in the memory of a run that has ended"
        return Outcome(entry.number, "lost", attempts, reason, notes=entry.notes)
    if entry.expires <= now:
        reason = too_old(entry.expires - entry.delivery.created)
        last = f"; the last attempt: {error}" if error else ""
        return Outcome(entry.number, TOO_OLD[entry.kind], attempts, f"{reason}{last}", notes=entry.notes)
    return None


def too_old(max_age: timedelta) -> str:
    """Why a delivery that waited for so long is given up."""
    return f"not done within {_length(max_age.total_seconds())}"


def words(error: BaseException) -> str:
    """An error as one line, for people: our own say all in their message, others by their type too."""
    said = " ".join(str(error).split())
    if isinstance(error, (GiveUp, Postpone)) and said:
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _length(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:g} seconds"
