"""The ribbon of a day: when it listened, when it did not, and why, by the ledger."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from birdwatchd.balance import Balance, balance_of, total
from birdwatchd.listening_hours import RESTING
from birdwatchd.web.words import span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from birdwatchd.domain import LedgerEntry
    from birdwatchd.store.days import Day

HOUR = timedelta(hours=1)
_SEEN = 0.15
"""What was lost is drawn so high at least, as a share of the whole: a minute of an hour would not be seen."""
_DAY_MINUTES = 24 * 60
_OFF = {"stopped": "it was stopped", "died": "it had died"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of an hour's column, all in shares of 1; `y` counts from above."""

    kind: str
    """`heard`, `resting`, `lost` or `off`."""
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """An hour of the ledger as far as it lies in the day, or a whole day of long ago."""

    x: float
    width: float
    """In shares of the day."""
    bars: tuple[Bar, ...]
    start: datetime
    end: datetime
    balance: Balance

    @property
    def words(self) -> str:
        """What became of it."""
        return "; ".join(tell(self.balance)) or "nothing is known of it"


@dataclass(frozen=True, slots=True)
class Hole:
    """Some hours in which it did not hear all."""

    start: datetime
    end: datetime
    balance: Balance

    @property
    def words(self) -> str:
        """What became of it."""
        return ", ".join(tell(self.balance))


@dataclass(frozen=True, slots=True)
class Ribbon:
    """One source's day."""

    source: str
    columns: tuple[Column, ...]
    balance: Balance
    """Of the whole day."""

    @property
    def words(self) -> list[str]:
        """What became of the day."""
        return tell(self.balance)

    @property
    def holes(self) -> list[Hole]:
        """When it did not listen, or not all the time; hours that follow each other with the same causes are one."""
        found: list[Hole] = []
        for column in self.columns:
            causes = _causes(column.balance)
            if not causes:
                continue
            before = found[-1] if found else None
            if before is not None and before.end == column.start and _causes(before.balance) == causes:
                found[-1] = Hole(before.start, column.end, total([before.balance, column.balance]))
            else:
                found.append(Hole(column.start, column.end, column.balance))
        return found


def ribbons(entries: Sequence[LedgerEntry], day: Day, now: datetime) -> list[Ribbon]:
    """A ribbon for each source that the ledger knows on that day, until now; the entries may be of some hours more."""
    found = balance_of(entries, "hour", day.zone)
    by_source: dict[str, list[tuple[datetime, Balance]]] = defaultdict(list)
    for (hour, source), balance in found.items():
        if hour < day.until and hour + HOUR > day.since:
            by_source[source].append((hour, balance))
    return [
        Ribbon(
            source,
            tuple(_column(hour, balance, day, now) for hour, balance in hours),
            # An hour that two days share counts to the day that it begins in, as everywhere.
            total(balance for hour, balance in hours if hour >= day.since),
        )
        for source, hours in sorted(by_source.items())
    ]


def tell(balance: Balance) -> list[str]:
    """What became of some time: `heard 58 min`, `lost 2 min: unplugged`."""
    skipped = sum(balance.skipped.values())
    heard = balance.captured - skipped
    words = [f"heard {hours(heard)}"] if heard > 0 else []
    words += [f"left out {hours(seconds)}: {cause}" for cause, seconds in _longest(balance.skipped)]
    words += [f"lost {hours(seconds)}: {cause}" for cause, seconds in _longest(balance.lost)]
    words += [
        f"not running {hours(seconds)}: {_OFF.get(cause, cause)}" for cause, seconds in _longest(balance.off)
    ]
    return words


def hours(seconds: float) -> str:
    """As `span`, and 24 hours are not called a day: a day may have 23."""
    minutes = round(seconds / 60)
    if minutes < _DAY_MINUTES:
        return span(seconds)
    return f"{minutes // 60} h" + f" {minutes % 60} min" * bool(minutes % 60)


def _causes(balance: Balance) -> set[tuple[str, str]]:
    kinds = (("left out", balance.skipped), ("lost", balance.lost), ("off", balance.off))
    return {(kind, cause) for kind, causes in kinds for cause, seconds in causes.items() if seconds > 0}


def _longest(causes: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(((cause, s) for cause, s in causes.items() if s > 0), key=lambda one: -one[1])


def _column(hour: datetime, balance: Balance, day: Day, now: datetime) -> Column:
    known = balance.expected + sum(balance.off.values())
    # Of what is long ago only whole days are kept, at their first hour.
    length = HOUR if known <= HOUR.total_seconds() * 1.05 else day.until - hour
    if hour < now < hour + length:
        length = now - hour
    start, end = max(hour, day.since), max(day.since, min(hour + length, day.until))
    whole = day.until - day.since
    return Column(
        x=(start - day.since) / whole,
        width=(end - start) / whole,
        bars=_bars(balance, max(known, length.total_seconds())),
        start=start,
        end=end,
        balance=balance,
    )


def _bars(balance: Balance, seconds: float) -> tuple[Bar, ...]:
    skipped = sum(balance.skipped.values())
    resting = balance.skipped.get(RESTING, 0.0)
    # Captured and never analysed: for whoever looks for a bird, as good as lost.
    lost, off = sum(balance.lost.values()) + skipped - resting, sum(balance.off.values())
    shares = {
        "lost": max(lost / seconds, _SEEN) if lost > 0 else 0.0,
        "off": max(off / seconds, _SEEN) if off > 0 else 0.0,
        "resting": resting / seconds,
        "heard": max(0.0, balance.captured - skipped) / seconds,
    }
    # What has to be seen takes its room from what was heard.
    over = sum(shares.values()) - 1
    if over > 0:
        for kind in ("heard", "resting"):
            taken = min(shares[kind], over)
            shares[kind] -= taken
            over -= taken
    bars: list[Bar] = []
    foot = 1.0
    for kind in ("heard", "resting", "off", "lost"):
        if shares[kind] > 0:
            foot -= shares[kind]
            bars.append(Bar(kind, round(max(0.0, foot), 4), round(shares[kind], 4)))
    return tuple(bars)
