"""Species by site and day: how often each was heard, where and when."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from birdwatchd.analysis.findings import Findings

COLUMNS = (
    "site",
    "day",
    "scientific_name",
    "common_name",
    "detections",
    "seconds",
    "best_score",
    "first",
    "last",
)


@dataclass(slots=True)
class Count:
    """One species at one site on one day."""

    common_name: str
    detections: int = 0
    seconds: float = 0.0
    best_score: float = 0.0
    first: str = ""
    """Time of day of its first detection, local to the site; empty when nothing dates the recordings."""
    last: str = ""


Key = tuple[str, str, str]
"""Site, local day (ISO, empty when unknown), scientific name."""


def summarise(findings: Iterable[Findings]) -> dict[Key, Count]:
    """The counts, in the order of site, day, and descending detections."""
    counts: dict[Key, Count] = {}
    for found in findings:
        for row in found.rows:
            day, _, clock = row.time.partition("T")
            count = counts.setdefault((row.site, day, row.scientific_name), Count(row.common_name))
            count.detections += 1
            count.seconds += row.end_seconds - row.start_seconds
            count.best_score = max(count.best_score, row.score)
            count.first = min(count.first or clock[:8], clock[:8])
            count.last = max(count.last, clock[:8])
    return dict(sorted(counts.items(), key=lambda item: (*item[0][:2], -item[1].detections, item[0][2])))


def write_summary(findings: Iterable[Findings], out: IO[str]) -> None:
    """One line a species, site and day."""
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for (site, day, scientific_name), count in summarise(findings).items():
        heard = [count.detections, f"{count.seconds:.1f}", count.best_score, count.first, count.last]
        table.writerow([site, day, scientific_name, count.common_name, *heard])
