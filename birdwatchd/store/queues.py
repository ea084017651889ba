"""Queues: in which order detections are worth a listen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from birdwatchd.store import detections
from birdwatchd.store.cells import to_text
from birdwatchd.store.reviews import IS_OPEN, LAST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from sqlite3 import Row

    from birdwatchd.domain import Detection
    from birdwatchd.store.database import Database

    _Rows = Iterator[tuple[str, Row]]
    """Why, and the row."""

Name = Literal["doubtful", "sample", "rarest", "new"]
NAMES: tuple[Name, ...] = get_args(Name)

RARE = 100
"""A species with more detections is not rare."""
MOST_LOOKED_AT = 2000
"""So many detections whose sound is gone are passed over at once: the disk is asked about each."""
_SORTED = 50_000
"""So many rows are sorted; of more, the order is read from an index, and enough of them fit."""
_FIRSTS = 20
"""Of a species' first detections so many are looked at: when none of them has its sound, nobody can judge them."""
_HAS_SOUND = "state = 'ended' AND voice = 0 AND clip_path <> ''"
"""As SQL: there was a clip, which may be gone."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to listen to."""

    queue: Name = "doubtful"
    """`doubtful`: closest to its threshold first. `sample`: as chance has it. `rarest`: species with fewest detections
    first. `new`: the first of a species, ever or in this year, newest first."""
    since: datetime | None = None
    """Only detections that start at this time or later. For `new`, when the year began."""
    species: str = ""
    """Scientific name; only that. Not for `new`."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A detection whose turn it is."""

    detection: Detection
    why: str
    """What makes it worth a listen: `doubtful`, `sample`, `rarest`, `first ever`, `first of the year`."""


@dataclass(frozen=True, slots=True)
class Upcoming:
    """What comes next in a queue."""

    turns: list[Turn]
    without_sound: int
    """Detections that were passed over because nothing is kept to listen to."""
    further: str = ""
    """Where so many of them stood that it was given up: the id of the last one, to go on after it."""


def upcoming(
    database: Database,
    wish: Wish,
    has_sound: Callable[[str], bool],
    *,
    after: str = "",
    count: int = 2,
) -> Upcoming:
    """The next so many detections that nobody has judged, and that can be listened to.

    Args:
        database: what is asked.
        wish: the queue.
        has_sound: whether there is still a clip at such a clip path.
        after: the id of a detection; what stands behind it in the queue. From the beginning when it is not known.
        count: how many.

    Raises:
        StoreError: the database cannot be read.
    """
    found = database.rows(
        "SELECT rowid, *, score - threshold AS doubt FROM detections WHERE id = ?", (after,)
    )
    last = found[0] if found else None
    rows = {"doubtful": _doubtful, "sample": _sample, "rarest": _rarest, "new": _new}[wish.queue]
    turns: list[Turn] = []
    silent = 0
    for why, row in rows(database, wish, last, has_sound):
        if not has_sound(row["clip_path"]):
            silent += 1
            if silent == MOST_LOOKED_AT:
                return Upcoming(turns, silent, further=row["id"])
            continue
        turns.append(Turn(detections.from_row(row), why))
        if len(turns) == count:
            break
    return Upcoming(turns, silent)


def _doubtful(database: Database, wish: Wish, last: Row | None, _: object) -> _Rows:
    behind, parameters = "TRUE", ()
    if last is not None:
        behind = "score - threshold >= ? AND (score - threshold > ? OR rowid > ?)"
        parameters = (last["doubt"], last["doubt"], last["rowid"])  # type: ignore[assignment]
    order = ("score - threshold, rowid", "detections_by_doubt")
    return _in_order(database, wish, (behind, parameters), order)


def _sample(database: Database, wish: Wish, last: Row | None, _: object) -> _Rows:
    # An id is a hash: their order has nothing to do with what was heard.
    parameters = (last["id"],) if last is not None else ("",)
    return _in_order(database, wish, ("id > ?", parameters), ("id", "sqlite_autoindex_detections_1"))


def _in_order(
    database: Database, wish: Wish, behind: tuple[str, Sequence[object]], order: tuple[str, str]
) -> _Rows:
    """What is `behind` (SQL, and what it is filled with), in the `order` that some index has."""
    by, index = order
    where, chosen, narrow = "TRUE", list[str](), "detections_by_start"
    if wish.species:
        where, narrow = "scientific_name = ?", "detections_by_species"
        chosen.append(wish.species)
    if wish.since is not None:
        where += " AND start_utc >= ?"
        chosen.append(to_text(wish.since))
    if chosen:
        ((many,),) = database.rows(
            f"SELECT count(*) FROM (SELECT 1 FROM detections INDEXED BY {narrow} WHERE {where} LIMIT ?)",  # noqa: S608 - the above
            (*chosen, _SORTED),
        )
        if many < _SORTED:
            index = narrow
    for row in database.each(
        f"SELECT rowid, * FROM detections INDEXED BY {index}"  # noqa: S608 - the above
        f" WHERE {where} AND {behind[0]} AND {_HAS_SOUND} AND {IS_OPEN} ORDER BY {by}",
        (*chosen, *behind[1]),
    ):
        yield wish.queue, row


def _rarest(database: Database, wish: Wish, last: Row | None, _: object) -> _Rows:
    since = to_text(wish.since) if wish.since is not None else ""
    rare = database.rows(
        f"{_HEARD} SELECT name, (SELECT count(*) FROM"  # noqa: S608 - ours
        " (SELECT 1 FROM detections WHERE scientific_name = name LIMIT ?)) AS many"
        " FROM heard WHERE name IS NOT NULL AND (? = '' OR name = ?)",
        (RARE + 1, wish.species, wish.species),
    )
    at = next((one["many"] for one in rare if last is not None and one["name"] == last["scientific_name"]), 0)
    for name, many in sorted(rare, key=lambda one: (one["many"], one["name"])):
        if many > RARE or (last is not None and (many, name) < (at, last["scientific_name"])):
            continue
        before, place = "~", 0
        if last is not None and name == last["scientific_name"]:
            before, place = last["start_utc"], last["rowid"]
        for row in database.rows(
            "SELECT rowid, * FROM detections INDEXED BY detections_by_species"  # noqa: S608 - ours
            f" WHERE scientific_name = ? AND start_utc >= ? AND (start_utc, rowid) < (?, ?) AND {_HAS_SOUND} AND {IS_OPEN}"
            " ORDER BY start_utc DESC, rowid DESC",
            (name, since, before, place),
        ):
            yield "rarest", row


def _new(database: Database, wish: Wish, last: Row | None, has_sound: Callable[[str], bool]) -> _Rows:
    """The first of each species that was not judged to be another; none where that one is judged already."""
    found: dict[str, tuple[str, Row]] = {}
    species = database.rows(f"{_HEARD} SELECT name FROM heard WHERE name IS NOT NULL")  # noqa: S608 - ours
    for why, since in (("first of the year", wish.since), ("first ever", None)):
        for (name,) in species:
            rows = database.each(
                f"SELECT rowid, *, {IS_OPEN} AS is_open FROM detections INDEXED BY detections_by_species"  # noqa: S608 - ours
                " WHERE scientific_name = ? AND start_utc >= ?"
                f" AND state = 'ended' AND coalesce({LAST}, '') NOT IN ('wrong', 'other') ORDER BY start_utc LIMIT ?",
                (name, to_text(since) if since is not None else "", _FIRSTS),
            )
            for row in rows:
                if not row["is_open"]:
                    break
                if row["clip_path"] and not row["voice"] and has_sound(row["clip_path"]):
                    found[row["id"]] = (why, row)
                    break
    behind = (last["start_utc"], last["id"]) if last is not None else ("~", "")
    newest = sorted(found.values(), key=lambda one: (one[1]["start_utc"], one[1]["id"]), reverse=True)
    yield from (one for one in newest if (one[1]["start_utc"], one[1]["id"]) < behind)


# Two steps in the index for each species: SQLite's own DISTINCT would walk through all rows.
_HEARD = (
    "WITH RECURSIVE heard (name) AS ("
    " SELECT min(scientific_name) FROM detections"
    " UNION ALL"
    " SELECT (SELECT min(scientific_name) FROM detections WHERE scientific_name > name) FROM heard"
    " WHERE name IS NOT NULL)"
)
