"""Moving a database out of the way, so that a new one can take its place. Nothing is ever overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdwatchd.on_disk import sync

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

COMPANIONS = ("-wal", "-shm")
"""What SQLite keeps beside a database, by what its name ends in."""


def find_place(path: Path, now: datetime) -> Path:
    """Where a database can be moved to: `<name>.damaged-<time>`, and nothing lies there."""
    place = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}")
    number = 1
    while any(place.with_name(place.name + end).exists() for end in ("", *COMPANIONS)):
        number += 1
        place = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}-{number}")
    return place


def move_aside(path: Path, place: Path, *, only_companions: bool = False) -> None:
    """Rename a database and what lies beside it.

    Raises:
        OSError: it cannot be renamed.
    """
    # The log first: a database without its log is an older state of it, a log without its database is nothing.
    for end in (*COMPANIONS, *([] if only_companions else [""])):
        beside = path.with_name(path.name + end)
        if beside.exists():
            beside.rename(place.with_name(place.name + end))
    sync(path.parent)
