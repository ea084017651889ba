"""Listening hours of one source, judged by the time of its sound: a recording of a whole day is heard like the day itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from datetime import datetime

    from birdwatchd.hours import Hours, Turn

RESTING = "not listening hours"
"""The cause, in the ledger, of sound that nobody was meant to listen to."""

logger = structlog.get_logger()


class ListeningHours:
    """Says whether a moment is one to listen. For one thread; `turn` for any."""

    def __init__(self, source: str, hours: Hours, linger_seconds: float) -> None:
        """What goes on at the end of the hours is followed for `linger_seconds` more, for the end of its clip."""
        self._source = source
        self._hours = hours
        self._linger = timedelta(seconds=linger_seconds)
        self._turn: Turn | None = None
        self._since: datetime | None = None
        self._rest_from: datetime | None = None

    def turn(self, now: datetime) -> Turn:
        """Whether it listens, and until when."""
        return self._hours.turn(now)

    def rests(self, moment: datetime, *, following: bool) -> bool:
        """Whether sound of that moment is left out. `following` says that a detection goes on."""
        turn = self._turn_of(moment)
        if turn.inside:
            self._rest_from = None
            return False
        if self._rest_from is None:
            self._rest_from = moment + self._linger if following else moment
        return moment >= self._rest_from

    def opens_by(self, moment: datetime) -> datetime | None:
        """When the hours begin, if that is at `moment` or before; asked while it rests."""
        turn = self._turn
        return turn.until if turn is not None and turn.is_change and turn.until <= moment else None

    def _turn_of(self, moment: datetime) -> Turn:
        turn = self._turn
        if turn is None or self._since is None or not self._since <= moment < turn.until:
            fresh = self._hours.turn(moment)
            if turn is None or turn.inside != fresh.inside:
                self._say(fresh)
            self._turn, self._since = fresh, moment
            return fresh
        return turn

    def _say(self, turn: Turn) -> None:
        until = {"until": turn.until.isoformat(timespec="seconds")} if turn.is_change else {}
        event = "listening hours" if turn.inside else "not listening hours, sound is skipped"
        logger.info(event, source=self._source, **until)
