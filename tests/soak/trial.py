"""What is judged of a soak, and what is found: faults, the ledger as it stands, sentences that have to be true."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence
    from pathlib import Path

    from tests.soak.keeper import Keeper
    from tests.soak.world import World

AFTERMATH_SECONDS = 60.0
"""So long after a fault that makes deaf, or after a start, streams connect and clocks find their pace."""
STARTING_SECONDS = 90.0


@dataclass(frozen=True)
class Disturbance:
    """A fault that was made: from when until when it lasted, until when it was felt, in seconds since the beginning."""

    name: str
    start: float
    end: float
    deaf: bool
    before: Ledger


Ledger = dict[tuple[str, str, str], float]
"""Seconds by source, kind and cause."""


@dataclass
class Finding:
    """One sentence that has to be true."""

    claim: str
    holds: bool
    told: str


@dataclass
class Verdict:
    """All of them, and what else the report tells."""

    findings: list[Finding] = field(default_factory=list)
    balance: dict[str, dict[str, float]] = field(default_factory=dict)
    deliveries: dict[str, Counter[str]] = field(default_factory=dict)
    delays: list[tuple[float, float]] = field(default_factory=list)
    """Of each durable delivery: when it was made, since the beginning, and how much later it was done, in seconds."""

    def find(self, claim: str, told: str, *, holds: bool) -> None:
        """Write one down."""
        self.findings.append(Finding(claim, holds, told))


def read_ledger(database: Path) -> Ledger:
    """As it stands now."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as connection:
        rows = connection.execute(
            "SELECT source, kind, cause, sum(seconds) FROM ledger GROUP BY 1, 2, 3"
        ).fetchall()
    connection.close()
    return {(source, kind, cause): seconds for source, kind, cause, seconds in rows}


@dataclass(frozen=True)
class Trial:
    """What is judged: the daemon listened from `began` to `ended`, seconds since the beginning."""

    world: World
    keeper: Keeper
    disturbances: Sequence[Disturbance]
    began: float
    ended: float

    def is_disturbed(self, start: float, stop: float) -> bool:
        """May something that sounded then have been missed?"""
        for one in self.disturbances:
            # What a fault leaves behind: reconnecting streams, clocks that find their pace again.
            if one.deaf and one.start < stop and start < one.end + AFTERMATH_SECONDS:
                return True
        births = [born for born, _, _ in self.keeper.lives]
        return any(born < stop and start < born + STARTING_SECONDS for born in births)
