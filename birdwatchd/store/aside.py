"""Moving a database out of the way, so that a new one can take its place. Nothing is ever overwritten, and little deleted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from birdwatchd.on_disk import sync

if TYPE_CHECKING:
    from collections.abc import Container
    from datetime import datetime
    from pathlib import Path

UNREAD = ".unread"
"""The end of a mark beside a damaged database of which not everything was read."""
COMPANIONS = ("-wal", "-shm")
"""What SQLite keeps beside a database, by what its name ends in."""
_STAMP = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
_NEWEST = 3
"""So many stay besides the first and the one that comes: a card that breaks everything would be full of them."""


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


def let_go(path: Path, but: Container[Path]) -> list[Path]:
    """Delete what was moved aside between the first and the newest; which those were. The first has the most to tell.

    Raises:
        OSError: it cannot be deleted.
    """
    begin = f"{path.name}.damaged-"
    found = {_base(one.name) for one in path.parent.glob(f"{begin}*")}
    ours = sorted(one for one in found if _STAMP.fullmatch(one.removeprefix(begin)))
    middle = [path.with_name(one) for one in ours[1:-_NEWEST] if path.with_name(one) not in but]
    for one in middle:
        for end in (*COMPANIONS, ""):
            one.with_name(one.name + end).unlink(missing_ok=True)
    return middle


def _base(name: str) -> str:
    for end in (*COMPANIONS, UNREAD):
        name = name.removesuffix(end)
    return name
