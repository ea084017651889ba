"""How days are counted, as steps of schema.py: by triggers, in the transaction of whoever writes, dates anew, deletes or judges."""

from __future__ import annotations


def _count(row: str, by: int, of: str = "WHERE TRUE") -> str:
    """Statements of a trigger that add `by` to the counts of the day and the hour of a row, in the station's zone.

    `row` is one that the trigger has (`NEW`, `OLD`), or is found by `of`: the end of a SELECT.
    """
    local = (
        f"coalesce(datetime(substr({row}.start_utc, 1, 19), (SELECT seconds FROM zone_offsets"  # noqa: S608 - constants
        f" WHERE since_utc <= {row}.start_utc ORDER BY since_utc DESC LIMIT 1) || ' seconds'), {row}.start_utc)"
    )
    # A row whose time nobody can count with is still kept, under the day that it names.
    day, month, hour = (
        f"substr({local}, 1, 10)",
        f"substr({local}, 1, 7)",
        f"CAST(substr({local}, 12, 2) AS INTEGER)",
    )
    name, source = f"{row}.scientific_name", f"{row}.source"
    more = "ON CONFLICT DO UPDATE SET detections = detections + excluded.detections"
    statements = (
        f"INSERT INTO heard_days SELECT {day}, {name}, {source}, {by} {of} {more};",
        f"INSERT INTO heard_hours SELECT {name}, {month}, {hour}, {source}, {by} {of} {more};",
        (
            "DELETE FROM heard_days WHERE detections <= 0"  # noqa: S608 - as above
            f" AND (day, scientific_name, source) IN (SELECT {day}, {name}, {source} {of});"
        ),
        (
            "DELETE FROM heard_hours WHERE detections <= 0"  # noqa: S608 - as above
            f" AND (scientific_name, month, hour, source) IN (SELECT {name}, {month}, {hour}, {source} {of});"
        ),
    )
    return " ".join(statements if by < 0 else statements[:2])


def _trigger(name: str, event: str, *counting: str, when: str = "TRUE") -> str:
    """Counts once the offsets of the zone are known."""
    condition = f"{when} AND EXISTS (SELECT 1 FROM zone_offsets)"  # noqa: S608 - constants
    return f"CREATE TRIGGER {name} {event} WHEN {condition} BEGIN {' '.join(counting)} END"


def _counting(what: str = "TRUE") -> tuple[str, ...]:
    """Whoever writes a detection, dates it anew or deletes it: the counts follow. `what` says of a row (`{}`) that it counts."""
    moved = (
        "(OLD.start_utc, OLD.scientific_name, OLD.source) <> (NEW.start_utc, NEW.scientific_name, NEW.source)"
    )
    new, old = what.format("NEW"), what.format("OLD")
    return (
        _trigger("detections_counted", "AFTER INSERT ON detections", _count("NEW", 1), when=new),
        _trigger("detections_uncounted", "AFTER DELETE ON detections", _count("OLD", -1), when=old),
        _trigger(
            "detections_recounted",
            "AFTER UPDATE OF start_utc, scientific_name, source ON detections",
            _count("OLD", -1),
            _count("NEW", 1),
            when=f"{moved} AND {old}",
        ),
    )


COUNTED = (
    "CREATE INDEX detections_by_score ON detections (scientific_name, score)",
    # What to add to UTC for the station's own time, from when on: written by counts.py, and empty before that.
    """
    CREATE TABLE zone_offsets (
        since_utc TEXT PRIMARY KEY,
        seconds INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # How many detections began on a day, and in an hour of the days of a month, in the station's own time.
    """
    CREATE TABLE heard_days (
        day TEXT NOT NULL,
        scientific_name TEXT NOT NULL,
        source TEXT NOT NULL,
        detections INTEGER NOT NULL,
        PRIMARY KEY (day, scientific_name, source)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX heard_days_by_species ON heard_days (scientific_name, day, source, detections)",
    """
    CREATE TABLE heard_hours (
        scientific_name TEXT NOT NULL,
        month TEXT NOT NULL,
        hour INTEGER NOT NULL,
        source TEXT NOT NULL,
        detections INTEGER NOT NULL,
        PRIMARY KEY (scientific_name, month, hour, source)
    ) STRICT, WITHOUT ROWID
    """,
    *_counting(),
)

_NEWEST = (
    "NOT EXISTS (SELECT 1 FROM reviews WHERE detection_id = NEW.detection_id AND said_utc > NEW.said_utc)"
)
_STANDS = "EXISTS (SELECT 1 FROM rejected WHERE detection_id = NEW.detection_id)"
_ITS = "FROM detections WHERE id = {}.detection_id"

REJECTED = (
    # Detections whose newest verdict is `wrong` or `other`: they were reported, and do not count. An index of the reviews, so
    # to say: nobody but these triggers writes it. The detection need not be there, nor be there first.
    "CREATE TABLE rejected (detection_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    (
        f"CREATE TRIGGER reviews_reject AFTER INSERT ON reviews WHEN NEW.verdict IN ('wrong', 'other') AND {_NEWEST}"  # noqa: S608 - constants
        f" AND NOT {_STANDS} BEGIN INSERT INTO rejected VALUES (NEW.detection_id); END"
    ),
    (
        f"CREATE TRIGGER reviews_accept AFTER INSERT ON reviews WHEN NEW.verdict NOT IN ('wrong', 'other') AND {_NEWEST}"  # noqa: S608 - as above
        f" AND {_STANDS} BEGIN DELETE FROM rejected WHERE detection_id = NEW.detection_id; END"
    ),
    _trigger("rejected_uncounted", "AFTER INSERT ON rejected", _count("detections", -1, _ITS.format("NEW"))),
    _trigger("rejected_counted", "AFTER DELETE ON rejected", _count("detections", 1, _ITS.format("OLD"))),
    # What was judged before there was this step. (Of a group with one max() SQLite takes the other columns from its row.)
    (
        "INSERT INTO rejected SELECT detection_id FROM (SELECT detection_id, verdict, max(said_utc) FROM reviews"
        " GROUP BY detection_id) WHERE verdict IN ('wrong', 'other')"
    ),
    *(f"DROP TRIGGER detections_{name}" for name in ("counted", "uncounted", "recounted")),
    *_counting("NOT EXISTS (SELECT 1 FROM rejected WHERE detection_id = {}.id)"),
)
