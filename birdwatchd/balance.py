"""What became of the seconds of each source, added up by hour or day."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from birdwatchd.times import midnight

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

    from birdwatchd.domain import LedgerEntry

By = Literal["hour", "day"]

_SLACK_SECONDS = 0.5
"""Less than this missing is a matter of rounding, not a hole."""
_CRUMB_SECONDS = 0.001


@dataclass(slots=True)
class Balance:
    """What became of the seconds of one source in one hour or day."""

    expected: float = 0.0
    captured: float = 0.0
    analysed: float = 0.0
    lost: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By cause; so are `skipped` and `off`."""
    skipped: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    off: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """When the daemon did not run: by how it had ended."""

    def to_record(self) -> dict[str, Any]:
        """Its seconds, as JSON tells them."""
        return {
            "expected_seconds": round(self.expected, 3),
            "captured_seconds": round(self.captured, 3),
            "analysed_seconds": round(self.analysed, 3),
            "lost_seconds": {cause: round(seconds, 3) for cause, seconds in self.lost.items()},
            "skipped_seconds": {cause: round(seconds, 3) for cause, seconds in self.skipped.items()},
            "off_seconds": {cause: round(seconds, 3) for cause, seconds in self.off.items()},
        }

    def add(self, entry: LedgerEntry) -> None:
        """Count an entry."""
        if entry.kind == "lost":
            self.lost[entry.cause] += entry.seconds
        elif entry.kind == "skipped":
            self.skipped[entry.cause] += entry.seconds
        elif entry.kind == "off":
            self.off[entry.cause] += entry.seconds
        else:
            setattr(self, entry.kind, getattr(self, entry.kind) + entry.seconds)

    @property
    def heard(self) -> float | None:
        """The share of what was expected that was captured, 0 to 1; None when nothing was expected."""
        if self.expected <= 0:
            return None
        return self.captured / self.expected if self.expected - self.captured > _SLACK_SECONDS else 1.0


Balances = dict[tuple[datetime, str], Balance]
"""By the beginning of the hour or day, aware UTC, and source; in that order."""


def balance_of(entries: Iterable[LedgerEntry], by: By, zone: tzinfo | None) -> Balances:
    """Add entries up. An hour that two days share (zones with half hours) counts to the day that it begins in."""
    balances: Balances = defaultdict(Balance)
    for entry in entries:
        balances[beginning(entry.hour, by, zone), entry.source].add(entry)
    for balance in balances.values():
        for causes in (balance.lost, balance.skipped, balance.off):
            # Loss that was counted ahead and taken back leaves a crumb of arithmetic.
            for cause in [cause for cause, seconds in causes.items() if abs(seconds) < _CRUMB_SECONDS]:
                del causes[cause]
    return dict(sorted(balances.items()))


def show_share(balance: Balance) -> str:
    """The share that was heard, rounded down: 100 % is said of nothing that has a hole."""
    if balance.heard is None:
        return "-"
    return f"{math.floor(balance.heard * 1000) / 10:.1f} %" if balance.heard < 1 else "100 %"


def beginning(hour: datetime, by: By, zone: tzinfo | None) -> datetime:
    """When the hour or day that this UTC hour counts to begins, aware UTC."""
    return midnight(hour, zone) if by == "day" else hour


def total(balances: Iterable[Balance]) -> Balance:
    """All of them in one."""
    every = Balance()
    for balance in balances:
        every.expected += balance.expected
        every.captured += balance.captured
        every.analysed += balance.analysed
        for cause, seconds in balance.lost.items():
            every.lost[cause] += seconds
        for cause, seconds in balance.skipped.items():
            every.skipped[cause] += seconds
        for cause, seconds in balance.off.items():
            every.off[cause] += seconds
    return every
