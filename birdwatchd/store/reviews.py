"""Reviews: what people said of detections. Each is a row of its own, and none is ever changed; the newest counts."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from birdwatchd.config.plain import is_plain_line
from birdwatchd.store.cells import from_text, to_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from birdwatchd.store.database import Database

Verdict = Literal["right", "wrong", "other", "unsure", "withdrawn"]
"""`other`: it was another species, which is named. `withdrawn`: nothing that was said before is to count."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
LONGEST_NAME = 200
"""Characters of a name, of a species or of who said it."""

LAST = "(SELECT verdict FROM reviews WHERE detection_id = detections.id ORDER BY said_utc DESC LIMIT 1)"
"""As SQL, in a query of detections: the verdict that counts, NULL where nobody has said anything."""
IS_OPEN = f"coalesce({LAST}, 'withdrawn') = 'withdrawn'"
"""As SQL, in a query of detections: nobody has judged it."""
COUNTS = "NOT EXISTS (SELECT 1 FROM rejected WHERE detection_id = detections.id)"
"""As SQL, in a query of detections: it was not judged to be wrong, or another species. Triggers (triggers.py) keep the table."""


@dataclass(frozen=True, slots=True)
class Review:
    """What somebody said of one detection."""

    detection_id: str
    said: datetime
    verdict: Verdict
    scientific_name: str = ""
    """What it was, where it was another species."""
    common_name: str = ""
    reviewer: str = ""
    """Who said it; empty when nobody gave a name."""
    queue: str = ""
    """Why it was looked at (`birdwatchd.store.queues`); empty when somebody came across it."""


def add(database: Database, review: Review) -> Review:
    """Write down what was said; how it was written down.

    It is dated after everything that was said of the detection before, also where the clock was set back meanwhile.

    Raises:
        LookupError: there is no such detection.
        ValueError: it makes no sense.
        sqlite3.Error: nothing was written.
    """
    _refuse_senseless(review)
    with database.transaction() as connection:
        if not connection.execute("SELECT 1 FROM detections WHERE id = ?", (review.detection_id,)).fetchone():
            raise LookupError(review.detection_id)
        (last,) = connection.execute(
            "SELECT max(said_utc) FROM reviews WHERE detection_id = ?", (review.detection_id,)
        ).fetchone()
        if last is not None:
            review = replace(review, said=max(review.said, from_text(last) + timedelta(microseconds=1)))
        connection.execute("INSERT INTO reviews VALUES (?, ?, ?, ?, ?, ?, ?)", to_row(review))
    return review


def rejected(database: Database, identities: Iterable[str]) -> frozenset[str]:
    """Those of the detections that were judged to be wrong, or another species, and do not count.

    Raises:
        StoreError: the database cannot be read.
    """
    rows = database.rows(
        "SELECT detection_id FROM json_each(?) CROSS JOIN rejected ON detection_id = value",
        (json.dumps(list(identities)),),
    )
    return frozenset(identity for (identity,) in rows)


def to_row(review: Review) -> tuple[str, ...]:
    """The row of a review."""
    return (
        review.detection_id,
        to_text(review.said),
        review.verdict,
        review.scientific_name,
        review.common_name,
        review.reviewer,
        review.queue,
    )


def from_row(row: sqlite3.Row | dict[str, Any]) -> Review:
    """The review that `to_row` made a row of.

    Raises:
        ValueError: the values make no sense.
    """
    review = Review(
        detection_id=row["detection_id"],
        said=from_text(row["said_utc"]),
        verdict=row["verdict"],
        scientific_name=row["scientific_name"],
        common_name=row["common_name"],
        reviewer=row["reviewer"],
        queue=row["queue"],
    )
    _refuse_senseless(review)
    return review


def of(database: Database, detection_id: str) -> list[Review]:
    """All that was said of a detection, the oldest first."""
    rows = database.rows("SELECT * FROM reviews WHERE detection_id = ? ORDER BY said_utc", (detection_id,))
    return [from_row(row) for row in rows]


def latest(database: Database) -> Iterator[Review]:
    """What was said last of every detection that anything was said of, in no order."""
    for row in database.each(
        "SELECT * FROM reviews WHERE said_utc ="
        " (SELECT max(said_utc) FROM reviews AS later WHERE later.detection_id = reviews.detection_id)"
    ):
        yield from_row(row)


def judged_clips(database: Database) -> frozenset[str]:
    """The clip paths of all detections that were judged for certain."""
    rows = database.rows(
        "SELECT clip_path FROM reviews CROSS JOIN detections ON detections.id = detection_id"
        " WHERE verdict IN ('right', 'wrong', 'other') AND clip_path <> '' AND said_utc ="
        " (SELECT max(said_utc) FROM reviews AS later WHERE later.detection_id = reviews.detection_id)"
    )
    return frozenset(row["clip_path"] for row in rows)


def newest(database: Database, *, limit: int, before: tuple[datetime, str] | None = None) -> list[Review]:
    """What was said last, the newest first; of what was said before that moment, of or before that detection's id."""
    where, parameters = "", ()
    if before is not None:
        where = "WHERE (said_utc, detection_id) < (?, ?)"
        parameters = (to_text(before[0]), before[1])  # type: ignore[assignment]
    rows = database.rows(
        f"SELECT * FROM reviews {where} ORDER BY said_utc DESC, detection_id DESC LIMIT ?",  # noqa: S608 - the above
        (*parameters, limit),
    )
    return [from_row(row) for row in rows]


def count(database: Database, since: datetime) -> tuple[int, int]:
    """How many detections were judged since then, and how many ever: what was withdrawn counts, too."""
    ((recent, ever),) = database.rows(
        "SELECT count(DISTINCT detection_id) FILTER (WHERE said_utc >= ?), count(DISTINCT detection_id) FROM reviews",
        (to_text(since),),
    )
    return recent, ever


def _refuse_senseless(review: Review) -> None:
    names = (review.scientific_name, review.common_name, review.reviewer, review.queue)
    if (
        review.verdict not in VERDICTS
        or not review.detection_id
        or not all(len(name) <= LONGEST_NAME and is_plain_line(name) for name in names)
        or (review.verdict == "other") is not bool(review.scientific_name)
        or review.said.tzinfo is None
    ):
        raise ValueError(review)
