"""How values are written down.

Times are ISO text in UTC, all of one length, so that they sort and people can read them with the plain `sqlite3`.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import SupportsFloat


def to_text(moment: datetime) -> str:
    """`2026-05-09T05:42:00.250000Z`. The moment has to know its zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def from_text(text: str) -> datetime:
    """The aware UTC time that `to_text` wrote."""
    return datetime.fromisoformat(text)


def to_real(number: SupportsFloat) -> float:
    """A plain float of any number, such as numpy's. SQLite would make NULL of a NaN, far from where it came from."""
    real = float(number)
    if not math.isfinite(real):
        raise ValueError(f"{number} cannot be written down")
    return real
