"""What reviews tell of a station: how often it is right, how many false alarms an hour it gives, and better thresholds."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from birdwatchd.store.cells import to_text
from birdwatchd.store.counts import is_complete

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from sqlite3 import Row

    from birdwatchd.store.database import Database

Z = 1.959964
"""Of a normal distribution, 95 % lies within so many standard deviations."""
FEW = 20
"""From fewer judged detections nothing can be concluded."""
LEAST = 5
"""A threshold that fewer judged detections reach is chance."""
_MOST_LOOKED_UP = 100_000
"""Detections whose model is looked up, in order to count them."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of those that were judged were right."""

    right: int
    judged: int

    @property
    def value(self) -> float | None:
        """From 0 to 1; None of nothing."""
        return self.right / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float]:
        """In which the true share lies with 95 % confidence, after Wilson 1927."""
        if not self.judged:
            return 0.0, 1.0
        n, p = self.judged, self.right / self.judged
        middle = p + Z * Z / (2 * n)
        reach = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        whole = 1 + Z * Z / n
        low, high = (middle - reach) / whole, (middle + reach) / whole
        return (0.0 if not self.right else low), (1.0 if self.right == n else high)

    @property
    def is_few(self) -> bool:
        """Too few to conclude anything."""
        return self.judged < FEW


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A threshold with which a species would have been right often enough."""

    current: float
    """The threshold of its newest detection that was judged."""
    threshold: float | None
    """None when no threshold will do. The current one where that is enough."""
    above: Share
    """Of those that reach it; of all, when there is none."""
    lost: int
    """Right detections that do not reach it."""


@dataclass(frozen=True, slots=True)
class OfSpecies:
    """What was judged of one species."""

    scientific_name: str
    common_name: str
    detections: int | None
    """All in that time, judged or not; None where there are too many to ask each for its model."""
    share: Share
    wrong: int
    """No bird of the model's."""
    others: tuple[tuple[str, int], ...]
    """What it was instead, the most frequent first: common names, and how often."""
    unsure: int
    suggestion: Suggestion | None
    """None when nothing of it was judged for certain."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was judged of all."""

    species: tuple[OfSpecies, ...]
    """Those of which something was judged, by common name."""
    share: Share
    unsure: int
    detections: int | None
    """As in `OfSpecies`."""
    hours: float
    """Listened, of all sources together: what the ledger calls analysed."""
    models: tuple[tuple[str, int], ...]
    """The models that said what was judged, and how often."""

    @property
    def false_an_hour(self) -> tuple[float, float, float] | None:
        """False alarms an hour, and the interval in which they lie with 95 % confidence.

        It holds when chance has drawn what was judged. None where nothing was judged, or nothing listened to.
        """
        if not self.share.judged or not self.hours or self.detections is None:
            return None
        low, high = self.share.interval
        pace = self.detections / self.hours
        return (1 - self.share.right / self.share.judged) * pace, (1 - high) * pace, (1 - low) * pace

    @property
    def found_an_hour(self) -> float | None:
        """False alarms that somebody has found, an hour: there were at least so many."""
        return (self.share.judged - self.share.right) / self.hours if self.hours else None


def figures(
    database: Database,
    *,
    since: datetime | None = None,
    model: str = "",
    by_chance: bool = False,
    precision: float = 0.9,
) -> Figures:
    """The figures of detections that began at `since` or later, of one model or all.

    Args:
        database: what is asked.
        since: None for all time.
        model: as in the detections; empty for all.
        by_chance: count only those that were drawn by lot. Thresholds are suggested from all: a queue that looks for
            what is doubtful makes a species look worse than it is, so that they err on the safe side.
        precision: what the suggested thresholds are to reach, 0 to 1.

    Raises:
        StoreError: the database cannot be read.
    """
    every = _judged(database, since, model)
    rows = [row for row in every if row["drawn"] or not by_chance]
    certain = [row for row in rows if row["verdict"] != "unsure"]
    totals = _totals(database, since, model)
    species = [
        _of_species(list(its), totals, precision, by_chance=by_chance)
        for _, its in groupby(
            sorted(every, key=lambda row: str(row["scientific_name"])), lambda row: row["scientific_name"]
        )
    ]
    return Figures(
        species=tuple(sorted(species, key=lambda one: (one.common_name.casefold(), one.scientific_name))),
        share=_share(certain),
        unsure=len(rows) - len(certain),
        detections=None if totals is None else sum(totals.values()),
        hours=_hours(database, since),
        models=tuple(Counter(row["model"] for row in rows).most_common()),
    )


def suggest(scores: Sequence[float], right: Sequence[bool], precision: float, current: float) -> Suggestion:
    """The lowest threshold from `current` on with which at least `precision` of the detections are right.

    Below the current threshold nothing was reported, so nothing is known. It lies between the lowest score that reaches it
    and the next one below, with two decimals where there is room for it.
    """
    ordered = sorted(zip(scores, right, strict=True), key=lambda one: -one[0])
    best: tuple[float, float | None, Share] | None = None
    hits = 0
    for number, (score, is_right) in enumerate(ordered, 1):
        hits += is_right
        below = ordered[number][0] if number < len(ordered) else None
        # Equal scores are taken together. All of them together need no threshold, however few they are.
        if below != score and hits >= precision * number and (number >= LEAST or below is None):
            best = (score, below, Share(hits, number))
    if best is None:
        return Suggestion(current, None, Share(hits, len(ordered)), hits)
    score, below, above = best
    return Suggestion(
        current, current if below is None else _between(below, score), above, hits - above.right
    )


def _between(below: float, score: float) -> float:
    for digits in (2, 3, 4):
        rounded = math.ceil((below + score) / 2 * 10**digits - 1e-9) / 10**digits
        if below < rounded <= score:
            return rounded
    return score


def _judged(database: Database, since: datetime | None, model: str) -> list[Row]:
    """The detections that somebody has judged, with the verdict that counts."""
    where, parameters = "", list[str]()
    if since is not None:
        where += " AND start_utc >= ?"
        parameters.append(to_text(since))
    if model:
        where += " AND model = ?"
        parameters.append(model)
    # Of a group with one max() SQLite takes the other columns from the row that has it: from the newest verdict.
    return database.rows(
        "SELECT one.scientific_name, one.common_name, one.score, one.threshold, one.model, one.start_utc,"  # noqa: S608 - the above
        " verdict, other, other_common, drawn FROM (SELECT detection_id, max(said_utc), verdict,"
        " scientific_name AS other, common_name AS other_common, sum(queue = 'sample') > 0 AS drawn"
        " FROM reviews GROUP BY detection_id) AS said CROSS JOIN detections AS one ON one.id = said.detection_id"
        f" WHERE verdict <> 'withdrawn'{where}",
        parameters,
    )


def _of_species(
    every: list[Row], totals: dict[str, int] | None, precision: float, *, by_chance: bool
) -> OfSpecies:
    certain = [row for row in every if row["verdict"] != "unsure"]
    counted = [row for row in certain if row["drawn"] or not by_chance]
    newest = max(every, key=lambda row: str(row["start_utc"]))
    name = newest["scientific_name"]
    others = Counter(row["other_common"] or row["other"] for row in counted if row["verdict"] == "other")
    is_right = [row["verdict"] == "right" for row in certain]
    scores = [row["score"] for row in certain]
    return OfSpecies(
        scientific_name=name,
        common_name=newest["common_name"],
        detections=None if totals is None else totals.get(name, 0),
        share=_share(counted),
        wrong=sum(row["verdict"] == "wrong" for row in counted),
        others=tuple(others.most_common()),
        unsure=sum(row["verdict"] == "unsure" for row in every if row["drawn"] or not by_chance),
        suggestion=suggest(scores, is_right, precision, newest["threshold"]) if certain else None,
    )


def _share(certain: Sequence[Row]) -> Share:
    return Share(sum(row["verdict"] == "right" for row in certain), len(certain))


def _totals(database: Database, since: datetime | None, model: str) -> dict[str, int] | None:
    """How many detections of each species there are."""
    start = to_text(since) if since is not None else ""
    if model:
        ((many,),) = database.rows(
            "SELECT count(*) FROM (SELECT 1 FROM detections WHERE start_utc >= ? LIMIT ?)",
            (start, _MOST_LOOKED_UP + 1),
        )
        if many > _MOST_LOOKED_UP:
            return None
        found = database.rows(
            "SELECT scientific_name, count(*) FROM detections INDEXED BY detections_by_start"
            " WHERE start_utc >= ? AND model = ? GROUP BY scientific_name",
            (start, model),
        )
    elif since is None and is_complete(database):
        found = database.rows(
            # With those that do not count there: false alarms are what this is about.
            "SELECT name, sum(detections) FROM (SELECT scientific_name AS name, detections FROM heard_days"
            " INDEXED BY heard_days_by_species UNION ALL SELECT scientific_name, 1 FROM rejected"
            " CROSS JOIN detections ON id = detection_id) GROUP BY name"
        )
    else:
        # Species by species in the index: only what began in that time is walked through.
        found = database.rows(
            "WITH RECURSIVE heard (name) AS (SELECT min(scientific_name) FROM detections UNION ALL"
            " SELECT (SELECT min(scientific_name) FROM detections WHERE scientific_name > name) FROM heard"
            " WHERE name IS NOT NULL) SELECT name, (SELECT count(*) FROM detections INDEXED BY detections_by_species"
            " WHERE scientific_name = name AND start_utc >= ?) FROM heard WHERE name IS NOT NULL",
            (start,),
        )
    return dict(map(tuple, found))


def _hours(database: Database, since: datetime | None) -> float:
    ((seconds,),) = database.rows(
        "SELECT coalesce(sum(seconds), 0) FROM ledger WHERE kind = 'analysed' AND hour_utc >= ?",
        (to_text(since.replace(minute=0, second=0, microsecond=0)) if since is not None else "",),
    )
    return float(seconds) / 3600
