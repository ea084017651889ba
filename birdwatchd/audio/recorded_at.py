"""When a recording began: from what the recorder wrote into the file, or into its name."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

from birdwatchd.audio.riff import read_riff

if TYPE_CHECKING:
    from pathlib import Path

# "Recorded at 14:00:00 25/12/2023 (UTC+2) by AudioMoth 24F319055FDF2F5E ..."
_AUDIOMOTH = re.compile(
    r"Recorded at (\d\d):(\d\d):(\d\d)(?:\.(\d{3}))? (\d\d)/(\d\d)/(\d{4})(?: \(UTC([+-]\d{1,2})?(?::?(\d\d))?\))?",
    re.ASCII,
)
# Old AudioMoths name a file by the hexadecimal seconds since 1970.
_HEXADECIMAL = re.compile(r"[5-7][0-9A-F]{7}")
# 20230401_053000, 2023-04-01T05-30-00Z, SITE_20230401$053000, 2023-04-01_05:30:00.250+0200, 20230401053000
_NAME = re.compile(
    r"(?<!\d)(\d{4})(-?)(\d\d)\2(\d\d)[T_ $-]?(\d\d)([-:.]?)(\d\d)\6(\d\d)(?:[._](\d{3}))?"
    r"(?:(Z)|([+-])(\d\d):?([0-5]\d))?(?!\d)",
    re.ASCII,
)
_BARE = re.compile(r"\d{8}_\d{6}T?", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 1970, 2100
_LARGEST_OFFSET = timedelta(hours=14)


@dataclass(frozen=True, slots=True)
class RecordedAt:
    """When the first sample was recorded, and what else the recorder said."""

    start: datetime
    """Aware; in the zone that the recorder wrote, or in the one that was given."""
    known_by: str
    """`AudioMoth comment`, `GUANO`, or `file name`."""
    position: tuple[float, float] | None = None
    """Degrees north and east, where GUANO has them."""


def recorded_at(path: Path, zone: tzinfo | None = None) -> RecordedAt | None:
    """When the recording `path` began, or None when neither its comments nor its name tell.

    An AudioMoth comment wins over GUANO, and that over the name. A name that is nothing but `YYYYMMDD_HHMMSS`, with
    an optional `T`, is AudioMoth's: UTC. Other times without a zone (Song Meter and most others) are local: they are
    taken to be in `zone`, or in the machine's own zone when that is None.

    Raises:
        OSError: the file cannot be read.
    """
    riff = read_riff(path)
    guano = _guano_fields(riff.guano)
    position = _position(guano.get("loc position", ""))
    if start := _from_audiomoth(riff.comment):
        return RecordedAt(start, "AudioMoth comment", position)
    if start := _from_guano(guano, zone):
        return RecordedAt(start, "GUANO", position)
    if start := _from_name(path, zone):
        return RecordedAt(start, "file name", position)
    return None


def _from_audiomoth(comment: str) -> datetime | None:
    match = _AUDIOMOTH.search(comment)
    if match is None:
        return None
    hour, minute, second, fraction, day, month, year, hours, minutes = match.groups()
    offset = timedelta(hours=abs(int(hours or 0)), minutes=int(minutes or 0))
    if (hours or "").startswith("-"):
        offset = -offset
    zone = _zone(offset)
    return None if zone is None else _time((year, month, day, hour, minute, second, fraction), zone)


def _guano_fields(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip().casefold(): value.strip() for key, _, value in pairs}


def _from_guano(fields: dict[str, str], zone: tzinfo | None) -> datetime | None:
    try:
        start = datetime.fromisoformat(fields.get("timestamp", ""))
    except ValueError:
        return None
    return _aware(start, zone)


def _position(text: str) -> tuple[float, float] | None:
    try:
        latitude, longitude = (float(word) for word in text.replace(",", " ").split())
    except ValueError:
        return None
    # A comparison with nan is false, so it is refused too.
    on_earth = abs(latitude) <= 90 and abs(longitude) <= 180  # noqa: PLR2004 - degrees
    return (latitude, longitude) if on_earth and math.isfinite(latitude) else None


def _from_name(path: Path, zone: tzinfo | None) -> datetime | None:
    stem = path.stem
    if _HEXADECIMAL.fullmatch(stem) and (path.suffix == ".WAV" or not stem.isdecimal()):
        return datetime.fromtimestamp(int(stem, 16), UTC)
    if _BARE.fullmatch(stem):
        zone = UTC
    # The first match that is a date: serial numbers before it may look like one.
    for match in _NAME.finditer(stem):
        year, _, month, day, hour, _, minute, second, fraction, zulu, sign, hours, minutes = match.groups()
        written: tzinfo | None = UTC if zulu else None
        if sign:
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            written = _zone(-offset if sign == "-" else offset)
        if start := _time((year, month, day, hour, minute, second, fraction), written or zone):
            return start
    return None


def _zone(offset: timedelta) -> tzinfo | None:
    return timezone(offset) if abs(offset) <= _LARGEST_OFFSET else None


def _time(parts: tuple[str, str, str, str, str, str, str | None], zone: tzinfo | None) -> datetime | None:
    year, month, day, hour, minute, second, milliseconds = (int(part or 0) for part in parts)
    try:
        start = datetime(year, month, day, hour, minute, second, milliseconds * 1000)  # noqa: DTZ001 - zone follows
    except ValueError:
        return None
    return _aware(start, zone)


def _aware(start: datetime, zone: tzinfo | None) -> datetime | None:
    # 1970 is what a recorder writes whose clock was never set.
    if not _FIRST_YEAR < start.year < _LAST_YEAR:
        return None
    if start.tzinfo is not None:
        return start
    return start.astimezone() if zone is None else start.replace(tzinfo=zone)
