"""The station's own time."""

from __future__ import annotations

import os
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from datetime import tzinfo

    from birdwatchd.config.schema import Location

LOCALTIME = Path("/etc/localtime")


def station_zone(location: Location | None) -> tzinfo:
    """The zone that the config names, or else the machine's own, with its summer time; UTC where that is not known."""
    if location is not None and location.timezone is not None:
        return ZoneInfo(location.timezone)
    named = os.environ.get("TZ", "").removeprefix(":")
    try:
        if named and not named.startswith("/"):
            return ZoneInfo(named)
        with Path(named or LOCALTIME).open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError, KeyError):  # no such file, no zone in it, no such name
        return UTC
