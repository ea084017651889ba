"""Room in the database that nothing is in any more goes back to the disk, a little at a time."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

import structlog

from birdwatchd.store.faults import is_passing

if TYPE_CHECKING:
    from birdwatchd.store.database import Database

logger = structlog.get_logger()

MOST_SHARE = 0.25
"""Of the file may be empty: it is filled again by the candidates of the next days, and costs nothing."""
LEAST_BYTES = 10_000_000
_PAGES = 64
"""So many go at once: whoever records waits for it."""
_PAUSE_SECONDS = 0.05


def vacuum(database: Database, *, most_share: float = MOST_SHARE, least_bytes: int = LEAST_BYTES) -> int:
    """Give back what is too much; how many bytes that were. From any thread.

    Databases that were begun before there was this cannot do it by themselves: there it does nothing.
    """
    given = 0
    try:
        while surplus := _give_back(database, most_share, least_bytes if not given else 0):
            given += surplus
            time.sleep(_PAUSE_SECONDS)
    except sqlite3.Error as error:
        if not is_passing(error):
            raise
        logger.debug(
            "the database is not made smaller", reason=str(error)
        )  # whoever records says what is wrong
    if given:
        logger.info("database made smaller", bytes=given)
    return given


def _give_back(database: Database, most_share: float, least_bytes: int) -> int:
    with database.transaction() as connection:
        pages, empty, size, mode = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size", "auto_vacuum")
        )
        surplus = empty - int(pages * most_share)
        if mode != 2 or surplus <= 0 or surplus * size < least_bytes:  # noqa: PLR2004 - incremental
            return 0
        connection.execute(f"PRAGMA incremental_vacuum({min(surplus, _PAGES)})").fetchall()
        (left,) = connection.execute("PRAGMA page_count").fetchone()
        return int((pages - left) * size)
