"""How the page says times, lengths, sizes and shares: in the site's zone, with units."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from datetime import tzinfo

NOTHING = "\N{EN DASH}"
"""What is shown where there is no value."""
_UNITS = ("B", "kB", "MB", "GB", "TB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_WIDE, _CLOSE = 100, 10


class Words:
    """Filters of the templates, in one zone. Every moment is aware."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone

    def local(self, moment: datetime) -> datetime:
        """The same moment on the site's clock."""
        return moment.astimezone(self.zone)

    def clock(self, moment: datetime | None) -> str:
        """`05:42:07`."""
        return NOTHING if moment is None else f"{self.local(moment):%H:%M:%S}"

    def minute(self, moment: datetime | None) -> str:
        """`05:42`."""
        return NOTHING if moment is None else f"{self.local(moment):%H:%M}"

    def day(self, moment: datetime | date | None) -> str:
        """`Fri 1 May 2026`; a date is taken as it is."""
        if moment is None:
            return NOTHING
        there = self.local(moment) if isinstance(moment, datetime) else moment
        return f"{there:%a} {there.day} {there:%b %Y}"

    def when(self, moment: datetime | None) -> str:
        """`Fri 1 May 2026, 05:42:07`."""
        return NOTHING if moment is None else f"{self.day(moment)}, {self.clock(moment)}"

    def near(self, moment: datetime | None) -> str:
        """`05:42` today, else `Fri 1 May 2026, 05:42`."""
        if moment is None or self.local(moment).date() == datetime.now(self.zone).date():
            return self.minute(moment)
        return f"{self.day(moment)}, {self.minute(moment)}"

    def ago(self, moment: datetime | None) -> str:
        """`3 min ago`, `in 2 h`."""
        if moment is None:
            return NOTHING
        seconds = (datetime.now(UTC) - moment).total_seconds()
        if abs(seconds) < 1:
            return "now"
        return f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}"

    def iso(self, moment: datetime) -> str:
        """For the attribute `datetime` of a `<time>`."""
        return self.local(moment).isoformat(timespec="milliseconds")


def span(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `5 min`, `3 h 20 min`, `4 d 2 h`: two units at most."""
    if seconds is None:
        return NOTHING
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if 0 < seconds < _CLOSE else f"{seconds:.0f} s"
    whole = round(seconds)
    for unit, name, below, small in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min")):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit} {name}" + f" {rest} {small}" * bool(rest)
    rest = whole % _MINUTE
    return f"{whole // _MINUTE} min" + f" {rest} s" * bool(rest and whole < _CLOSE * _MINUTE)


def size(count: float | None) -> str:
    """Bytes, with units of 1000: `12.4 GB`."""
    if count is None:
        return NOTHING
    unit = 0
    while count >= 999.5 and unit < len(_UNITS) - 1:  # noqa: PLR2004 - it would be shown as 1000
        count, unit = count / 1000, unit + 1
    digits = 1 if unit and count < _WIDE else 0
    return f"{count:.{digits}f} {_UNITS[unit]}"


def share(part: float | None, whole: float | None = 1.0) -> str:
    """`97.4 %` of the whole; nothing of nothing is nothing to say."""
    if part is None or not whole:
        return NOTHING
    percent = 100 * part / whole
    # All but a little is not all, and a little is not nothing.
    shown = min(percent, 99.9) if part < whole else percent
    return "100 %" if shown >= 100 else f"{shown:.1f} %"  # noqa: PLR2004 - a percentage


def percent(part: float | None) -> str:
    """`97 %`, of a whole of 1: where tenths would say more than is known."""
    return NOTHING if part is None else f"{100 * part:.0f} %"


def count(number: int | None) -> str:
    """`12 345`, with thin spaces between the thousands."""
    return NOTHING if number is None else f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def score(value: float | None) -> str:
    """`0.87`: never rounded up to 1.00."""
    return NOTHING if value is None else f"{min(value, 0.99) if value < 1 else value:.2f}"


def level(dbfs: float | None) -> str:
    """With a real minus sign."""
    return NOTHING if dbfs is None else f"{dbfs:.0f} dBFS".replace("-", "\N{MINUS SIGN}")


def coded(text: str) -> Markup:
    """What stands between backticks, as code."""
    pieces = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if number % 2 else escape(piece)
        for number, piece in enumerate(pieces)
    )


def many(number: int, one: str, more: str = "") -> str:
    """`1 detection`, `2 detections`."""
    return f"{count(number)} {one if number == 1 else more or one + 's'}"
