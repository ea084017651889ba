"""How people say when, and how times are shown to them: in the station's own zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from datetime import tzinfo

_DAYS_BACK = {"today": 0, "yesterday": 1}
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO = re.compile(rf"(\d+(?:\.\d+)?) *({'|'.join(_UNITS)})(?: ago)?")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MINUTE = 60


def parse_moment(text: str, now: datetime, zone: tzinfo | None, *, end_of_day: bool = False) -> datetime:
    """The moment that is meant, aware UTC.

    `07:42` is the last time that the clocks showed that; `2h` is two hours ago. A time without a zone is in `zone`, or
    the machine's own when that is None. A day alone is its beginning, or with `end_of_day` the beginning of the next.

    Raises:
        UserError: the text means no moment.
    """
    words = text.strip().casefold()
    if words == "now":
        return now.astimezone(UTC)
    if ago := _AGO.fullmatch(words):
        return _back(text, now, float(ago[1]) * _UNITS[ago[2]])
    today = now.astimezone(zone).date()
    if _CLOCK.fullmatch(words):
        moment = _combine(text, today.isoformat(), words, zone)
        # A day back on the calendar, not 24 hours: between them the clocks may have changed.
        yesterday = (today - timedelta(days=1)).isoformat()
        return moment if moment <= now else _combine(text, yesterday, words, zone)
    day, _, clock = words.partition(" ")
    if day in _DAYS_BACK:
        day = (today - timedelta(days=_DAYS_BACK[day])).isoformat()
        return (
            _day(text, day, zone, end=end_of_day) if not clock else _combine(text, day, clock.strip(), zone)
        )
    if _DATE.fullmatch(words):
        return _day(text, words, zone, end=end_of_day)
    try:
        return _aware(datetime.fromisoformat(text.strip()), zone)
    except (ValueError, OverflowError):
        raise _refusal(text) from None


def parse_seconds(text: str) -> float:
    """A length of time, such as `60s`, `5m`, `2h`, or a number of seconds.

    Raises:
        UserError: it is none.
    """
    words = text.strip().casefold()
    if length := _AGO.fullmatch(words + "s" if words[-1:].isdigit() else words):
        return float(length[1]) * _UNITS[length[2]]
    raise UserError(f"'{text}' is no length of time; write for example 60s, 5m or 2h")


def midnight(moment: datetime, zone: tzinfo | None) -> datetime:
    """The beginning of the day that `moment` is in, aware UTC."""
    return _aware(datetime.combine(moment.astimezone(zone).date(), datetime.min.time()), zone)


def show_time(moment: datetime, zone: tzinfo | None) -> str:
    """`2026-05-09 07:42:10`, in the zone, or the machine's own."""
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def show_clock(moment: datetime, zone: tzinfo | None) -> str:
    """`07:42:10`, in the zone, or the machine's own."""
    return moment.astimezone(zone).strftime("%H:%M:%S")


def show_length(seconds: float) -> str:
    """`4.5 s`, `12:30` or `1:00:00`."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _back(text: str, now: datetime, seconds: float) -> datetime:
    try:
        return now.astimezone(UTC) - timedelta(seconds=seconds)
    except OverflowError:
        raise _refusal(text) from None


def _day(text: str, day: str, zone: tzinfo | None, *, end: bool) -> datetime:
    try:
        return _aware(datetime.fromisoformat(day) + timedelta(days=1 if end else 0), zone)
    except (ValueError, OverflowError):
        raise _refusal(text) from None


def _combine(text: str, day: str, clock: str, zone: tzinfo | None) -> datetime:
    hours, colon, rest = clock.partition(":")
    try:
        return _aware(datetime.fromisoformat(f"{day}T{hours.zfill(2)}{colon}{rest}"), zone)
    except (ValueError, OverflowError):
        raise _refusal(text) from None


def _aware(moment: datetime, zone: tzinfo | None) -> datetime:
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(UTC)  # without a zone of its own it is taken for the machine's


def _refusal(text: str) -> UserError:
    return UserError(
        f"'{text}' is no time; write for example 07:42, yesterday 07:42, '2026-05-09 07:42', today, or 2h (ago)"
    )
