"""The line of deliveries that wait for one action: which of them are next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from birdwatchd.dispatch.context import Surroundings, Task, open_context
from birdwatchd.dispatch.verdict import hopeless
from birdwatchd.store.outbox import FAR

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from birdwatchd.actions import Action
    from birdwatchd.store.deliveries import Entry, Outcome
    from birdwatchd.store.outbox import Outbox

READY_SECONDS = 0.2
"""How often it is asked whether the sound that a delivery waits for is there. That costs no look at the disk."""
MOST_BOUNDED = 1000
"""Deliveries that wait for sound are looked through, so many of them."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be done now."""

    tasks: Sequence[Task] = ()
    entries: Sequence[Entry] = ()
    hopeless: Sequence[Outcome] = ()
    """Those of `entries` that need not be tried."""
    idle_seconds: float = 0.0
    """How long there is nothing, where there is nothing."""


class Line:
    """Reads the outbox for one action. For one thread, but for `stir`."""

    def __init__(self, action: Action, outbox: Outbox, surroundings: Surroundings) -> None:
        self._name: str = action.config.name
        self._is_bounded = action.durability == "bounded"
        self._is_ordered = action.ordered
        self._batch_size = action.batch_size
        self._outbox = outbox
        self.surroundings = surroundings
        """What deliveries are run in; may be replaced at any time, from any thread."""
        self._is_stale = True
        self._dozing: Sequence[Entry] = ()  # read already, and waiting for sound

    def stir(self) -> None:
        """There may be something new in the outbox. From any thread."""
        self._is_stale = True

    def take(self, now: datetime, longest_seconds: float) -> Turn:
        """What is next, oldest first."""
        if self._dozing and not self._is_stale and not any(map(self._is_ready, self._dozing)):
            return Turn(idle_seconds=READY_SECONDS)
        self._is_stale = False
        limit = MOST_BOUNDED if self._is_bounded else self._batch_size
        entries = self._outbox.waiting(self._name, limit, due=None if self._is_ordered else now)
        given_up = [one for entry in entries if (one := hopeless(entry, self.surroundings.run_id, now))]
        if given_up:
            self._is_stale = True
            return Turn(entries=entries, hopeless=given_up)
        if self._is_ordered and entries and now < entries[0].next <= now + FAR:
            return Turn(idle_seconds=_until(entries[0].next, now, longest_seconds))
        ready = [entry for entry in entries if not self._is_bounded or self._is_ready(entry)]
        self._dozing = entries if self._is_bounded and not ready else ()
        if self._dozing:
            return Turn(idle_seconds=READY_SECONDS)
        if not ready:
            due = self._outbox.next_due(self._name)
            return Turn(idle_seconds=longest_seconds if due is None else _until(due, now, longest_seconds))
        first = ready[: self._batch_size]
        tasks = [Task(entry, open_context(entry.delivery, self.surroundings, entry.notes)) for entry in first]
        return Turn(tasks, first)

    def _is_ready(self, entry: Entry) -> bool:
        sample = entry.ready_sample
        return sample is not None and self.surroundings.is_ready(entry.ready_source, sample)


def _until(moment: datetime, now: datetime, longest_seconds: float) -> float:
    return min(longest_seconds, max(0.001, (moment - now).total_seconds()))
