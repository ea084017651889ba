"""How far somebody has read the detections who is told of each as it starts and as it ends: a place to go on from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from birdwatchd.store.detections import from_row

if TYPE_CHECKING:
    from birdwatchd.domain import Detection
    from birdwatchd.store.database import Database

_TEXT = re.compile(r"(?P<newest>[0-9a-f]*)(?P<going_on>(?:\.[0-9a-f]+)*)")
LONGEST = 4000
"""Of the text of a cursor; more than a hundred detections do not go on at once."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """It stays good when the daemon is started again, and says nothing of times: a recording has its own."""

    newest: str
    """The id of the detection that came into the database last; empty when there was none."""
    going_on: tuple[str, ...] = ()
    """The ids of those that had not ended."""

    def __str__(self) -> str:
        """What `parse` reads."""
        return ".".join((self.newest, *self.going_on))

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """The cursor of that text; None when it is none."""
        found = _TEXT.fullmatch(text) if len(text) <= LONGEST else None
        return found and cls(found["newest"], tuple(found["going_on"].split(".")[1:]))

    @classmethod
    def at_end(cls, database: Database) -> Cursor:
        """Nothing more is to be read now."""
        newest = database.rows("SELECT id FROM detections ORDER BY rowid DESC LIMIT 1")
        going_on = database.rows("SELECT id FROM detections WHERE state = 'started' ORDER BY rowid")
        return cls(newest[0]["id"] if newest else "", tuple(row["id"] for row in going_on))

    def later(self, database: Database, most: int) -> list[Detection] | None:
        """What has started or ended since, in its present state: first those that have ended, then those that are new.

        At most so many of the new ones; None when this place is not in the database (any more).
        """
        place = 0
        if self.newest:
            rows = database.rows("SELECT rowid FROM detections WHERE id = ?", (self.newest,))
            if not rows:
                return None
            place = rows[0]["rowid"]
        marks = ", ".join("?" * len(self.going_on))
        ended = database.rows(
            f"SELECT * FROM detections WHERE id IN ({marks}) AND state = 'ended' ORDER BY end_utc",  # noqa: S608 - question marks
            self.going_on,
        )
        new = database.rows("SELECT * FROM detections WHERE rowid > ? ORDER BY rowid LIMIT ?", (place, most))
        return [from_row(row) for row in (*ended, *new)]

    def past(self, detection: Detection) -> Cursor:
        """The place behind a detection that `later` gave."""
        others = tuple(one for one in self.going_on if one != detection.id)
        if detection.id in self.going_on:
            return Cursor(self.newest, others)
        return Cursor(detection.id, (*others, detection.id) if detection.state == "started" else others)
