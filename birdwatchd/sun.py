"""When the sun rises and sets at the station, on every day of the year, also where it does neither."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo

    from birdwatchd.config.schema import Location
    from birdwatchd.config.span import Sun

HORIZON = {"dawn": -6.0, "dusk": -6.0, "sunrise": -0.833, "sunset": -0.833}
"""The sun's height in degrees at its events: civil twilight, and the sun's upper edge on the horizon."""
_DAY = timedelta(days=1)
_HALF_DAY = timedelta(hours=12)
_CLOSE = timedelta(seconds=1)


class Sky:
    """The sun's day at one place."""

    def __init__(self, location: Location, zone: tzinfo) -> None:
        from astral import Observer

        self._observer = Observer(location.latitude, location.longitude)
        self._zone = zone
        self.at = lru_cache(maxsize=256)(self._at)

    def _at(self, event: Sun, day: date) -> datetime:
        """The time of an event, aware UTC. Days are the zone's, and each has its own noon.

        Where the sun does not set, it rises and sets at midnight, the moments between which it is up all the time; where
        it does not rise, at noon. So a span grows and shrinks from day to day without a leap.
        """
        from astral.sun import elevation

        noon = self._noon(day)
        if event == "noon":
            return noon
        forward = event in ("sunset", "dusk")
        found = self._found(event, noon, forward=forward)
        if found is not None:
            return found
        highest, lowest = (
            elevation(self._observer, when, with_refraction=False) for when in (noon, noon + _HALF_DAY)
        )
        # On the first and last such day one of the two is at the horizon itself, to within the formula's error.
        if (highest + lowest) / 2 <= HORIZON[event]:
            return noon
        before, after = (self._noon(day - _DAY), noon) if not forward else (noon, self._noon(day + _DAY))
        return before + (after - before) / 2

    def _noon(self, day: date) -> datetime:
        """The sun's noon that is nearest to the clock's: the zone may be far from the sun."""
        from astral.sun import noon

        wanted = datetime.combine(day, time(12), self._zone).astimezone(UTC)
        noons = [noon(self._observer, day + _DAY * shift, tzinfo=UTC) for shift in (-1, 0, 1)]
        return min(noons, key=lambda one: abs(one - wanted))

    def _found(self, event: str, noon: datetime, *, forward: bool) -> datetime | None:
        """The event in the half day before that noon, or the one after it; None when there is none.

        Sought between the sun's highest and its lowest: asked for a day, astral tells one sunset, and there are days of
        UTC with two.
        """
        from astral.sun import elevation

        def is_up(when: datetime) -> bool:
            height: float = elevation(self._observer, when, with_refraction=False)
            return height > HORIZON[event]

        up, down = noon, noon + (_HALF_DAY if forward else -_HALF_DAY)
        if not is_up(up) or is_up(down):
            return None
        while abs(down - up) > _CLOSE:
            middle = up + (down - up) / 2
            if is_up(middle):
                up = middle
            else:
                down = middle
        return down
