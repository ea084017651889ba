"""The outbox: the deliveries that wait, for the workers that carry them out."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from birdwatchd.store.cells import from_text, to_text
from birdwatchd.store.deliveries import to_entry
from birdwatchd.store.runs import is_seasoned

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from birdwatchd.domain import Delivery, DeliveryStatus
    from birdwatchd.store.database import Database
    from birdwatchd.store.deliveries import Entry, Outcome

_PAGE = 500
FAR = timedelta(days=1)
"""Nothing is put off for longer."""


class Outbox:
    """The workers' side of it. A connection of its own, for any number of threads."""

    def __init__(self, database: Database) -> None:
        """Work on the file of `database`, the recorder's."""
        self._database = database.second()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._database.close()

    def waiting(self, action: str, limit: int, *, due: datetime | None = None) -> list[Entry]:
        """The oldest that wait for an action, in order; with `due` those that may be tried by then."""
        # One that is due so late is of a clock that has been set back since.
        by_then = "" if due is None else " AND (next_utc <= :due OR next_utc > :far)"
        rows = self._rows(
            f"SELECT * FROM deliveries WHERE action = :action AND status = 'waiting'{by_then}"  # noqa: S608 - one of two
            " ORDER BY number LIMIT :limit",
            {
                "action": action,
                "limit": limit,
                "due": to_text(due) if due else "",
                "far": to_text(due + FAR) if due else "",
            },
        )
        return [to_entry(row) for row in rows]

    def next_due(self, action: str) -> datetime | None:
        """When the first of those that wait may be tried; None when none waits."""
        ((first,),) = self._rows(
            "SELECT min(next_utc) FROM deliveries WHERE action = ? AND status = 'waiting'", (action,)
        )
        return None if first is None else from_text(first)

    def count_waiting(self, actions: Sequence[str] = ()) -> int:
        """How many wait, for these actions, or for all there ever were."""
        among = f" AND action IN ({', '.join('?' * len(actions))})" if actions else ""
        ((number,),) = self._rows(
            f"SELECT count(*) FROM deliveries WHERE status = 'waiting'{among}",  # noqa: S608 - question marks
            tuple(actions),
        )
        return int(number)

    def first_ready(self, actions: Sequence[str], source: str, run_id: str) -> int | None:
        """The lowest sample of a source that a bounded delivery of these actions waits for, or has waited for, untried."""
        among = ", ".join("?" * len(actions))
        ((first,),) = self._rows(
            f"SELECT min(ready_sample) FROM deliveries WHERE action IN ({among}) AND status = 'waiting'"  # noqa: S608 - question marks
            " AND attempts = 0 AND ready_source = ? AND run_id = ?",
            (*actions, source, run_id),
        )
        return None if first is None else int(first)

    def settle(self, outcomes: Iterable[Outcome], now: datetime) -> None:
        """Write down what became of deliveries, all or nothing. One that is settled already stays as it is.

        Raises:
            sqlite3.Error: nothing was written.
        """
        rows = [
            (
                outcome.status,
                outcome.attempts,
                outcome.error,
                None if outcome.next is None else to_text(outcome.next),
                json.dumps(outcome.notes, ensure_ascii=False),
                None if outcome.status == "waiting" else to_text(now),
                outcome.number,
            )
            for outcome in outcomes
        ]
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE deliveries SET status = ?, attempts = ?, error = ?, next_utc = coalesce(?, next_utc),"
                " notes = ?, settled_utc = ? WHERE number = ? AND status = 'waiting'",
                rows,
            )

    def expire(self, action: str, status: DeliveryStatus, reason: str, now: datetime) -> int:
        """Give up what has been waiting for too long, up to the first that has not; how many that were.

        The last error is told behind the reason. What expires earlier than those before it is left to whoever takes it.

        Raises:
            sqlite3.Error: nothing more was written.
        """
        total = 0
        while True:
            # By pages: the pipeline has its turn in between, and of those that wait on only the first are looked at.
            with self._transaction() as connection:
                count = connection.execute(
                    "UPDATE deliveries SET status = ?, settled_utc = ?,"
                    " error = ? || CASE error WHEN '' THEN '' ELSE '; the last attempt: ' || error END"
                    " WHERE expires_utc <= ? AND number IN (SELECT number FROM deliveries"
                    " WHERE action = ? AND status = 'waiting' ORDER BY number LIMIT ?)",
                    (status, to_text(now), reason, to_text(now), action, _PAGE),
                ).rowcount
            total += count
            if count < _PAGE:
                return total

    def expire_others(self, actions: Iterable[str], now: datetime) -> int:
        """The same for what waits for any action but these: nobody looks after it. How many that were.

        Raises:
            sqlite3.Error: nothing was written.
        """
        names = tuple(actions)
        with self._transaction() as connection:
            return connection.execute(
                "UPDATE deliveries SET status = 'dead', settled_utc = ?, error = 'its action is no longer there, or off'"  # noqa: S608 - question marks
                " WHERE status = 'waiting' AND expires_utc <= ?"
                f" AND action NOT IN ({', '.join('?' * len(names))})",
                (to_text(now), to_text(now), *names),
            ).rowcount

    def trim(self, action: str, keep: int, reason: str, now: datetime) -> int:
        """Give up the oldest of an action, so that `keep` wait; how many that were.

        Raises:
            sqlite3.Error: nothing was written.
        """
        surplus = self.count_waiting([action]) - keep
        if surplus <= 0:
            return 0
        with self._transaction() as connection:
            return connection.execute(
                "UPDATE deliveries SET status = 'expired', settled_utc = ?, error = ? WHERE number IN"
                " (SELECT number FROM deliveries WHERE action = ? AND status = 'waiting' ORDER BY number LIMIT ?)",
                (to_text(now), reason, action, surplus),
            ).rowcount

    def is_seasoned(self, now: datetime) -> bool:
        """Has the daemon listened by this clock for so long that what is old by it may be forgotten?"""
        with self._lock:
            return is_seasoned(self._database, now)

    def prune(self, before: datetime, at_most: int = 1000) -> int:
        """Forget deliveries that were settled before that time, so many at most of the oldest; how many that were.

        Raises:
            sqlite3.Error: nothing was written.
        """
        with self._transaction() as connection:
            return connection.execute(
                "DELETE FROM deliveries WHERE number IN (SELECT number FROM deliveries ORDER BY number LIMIT ?)"
                " AND settled_utc < ?",
                (at_most, to_text(before)),
            ).rowcount

    def since(self, moment: datetime) -> Iterator[Delivery]:
        """The deliveries that were made at that time or later, newest first."""
        before = 1 << 62
        while page := self._rows(
            "SELECT * FROM deliveries WHERE number < ? ORDER BY number DESC LIMIT ?", (before, _PAGE)
        ):
            for row in page:
                if row["created_utc"] < to_text(moment):
                    return
                yield to_entry(row).delivery
            before = page[-1]["number"]

    def _rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any]) -> list[sqlite3.Row]:
        with self._lock:
            return self._database.rows(sql, parameters)  # type: ignore[arg-type] # SQLite takes both

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database.transaction() as connection:
            yield connection
