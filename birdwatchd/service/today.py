"""What the ledger has of today, which may have begun in an earlier run."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from birdwatchd.errors import StoreError
from birdwatchd.service.status import Seconds
from birdwatchd.store.database import Database
from birdwatchd.store.ledger import between

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from birdwatchd.domain import LedgerEntry

AGAIN_SECONDS = 10.0
"""Who asks more often gets the same answer."""


class Today:
    """For one thread at a time."""

    def __init__(
        self, zone: Callable[[], tzinfo], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._zone = zone
        self._monotonic = monotonic
        self._read_at = float("-inf")
        self._found: Mapping[str, Seconds] | None = None

    def seconds(self, path: Path) -> Mapping[str, Seconds] | None:
        """By source, since midnight; None when the database cannot be read."""
        now = self._monotonic()
        if now - self._read_at >= AGAIN_SECONDS:
            self._read_at = now
            midnight = datetime.now(self._zone()).replace(hour=0, minute=0, second=0, microsecond=0)
            try:
                with Database.open(path, read_only=True) as database:
                    self._found = add_up(between(database, midnight.astimezone(UTC)))
            except StoreError:
                self._found = None  # the recorder says what is wrong with it
        return self._found


def add_up(entries: Sequence[LedgerEntry]) -> dict[str, Seconds]:
    """The entries of all hours together, by source."""
    plain: dict[tuple[str, str], float] = defaultdict(float)
    causes: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for entry in entries:
        if entry.kind in ("lost", "skipped"):
            causes[entry.source, entry.kind][entry.cause] += entry.seconds
        else:
            plain[entry.source, entry.kind] += entry.seconds
    return {
        source: Seconds(
            expected=plain[source, "expected"],
            captured=plain[source, "captured"],
            analysed=plain[source, "analysed"],
            # Deafness is counted while it lasts, and taken back when its cause is known.
            lost={cause: lost for cause, lost in causes[source, "lost"].items() if lost > 0},
            skipped=dict(causes[source, "skipped"]),
        )
        for source in {entry.source for entry in entries}
    }
