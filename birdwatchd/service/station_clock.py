"""The time as the daemon's parts are told it: it never jumps behind anybody's back."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from birdwatchd.trust import STEP_SECONDS, Trust, boot_id, elapsed

if TYPE_CHECKING:
    from collections.abc import Callable

logger = structlog.get_logger()

AGAIN_SECONDS = 5.0
"""How long after a failure it tries once more to have a step taken in."""


class StationClock:
    """The system clock. When that is set, it goes on as before until all who keep times have moved them.

    So no delivery is given up in the moment in which a year passes. Sources date their samples by clocks of their own.
    """

    def __init__(
        self,
        last_seen: datetime | None = None,
        *,
        monotonic: Callable[[], float] = elapsed,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`last_seen` is when the run before this one was there for the last time."""
        self.trust = Trust(last_seen, monotonic=monotonic)
        self._monotonic = monotonic
        self._wall = wall
        self._offset = wall() - monotonic()
        self._not_before = float("-inf")
        self._was_set = True

    def now(self) -> datetime:
        """Aware UTC. From any thread."""
        return datetime.fromtimestamp(self._monotonic() + self._offset, UTC)

    @property
    def boot(self) -> tuple[str, float]:
        """Which boot of the machine this is, and what the clock says, less the seconds since then."""
        return boot_id(), self._offset

    @property
    def is_set(self) -> bool:
        """Can it be what it says?"""
        return self.trust.is_set(self.now())

    def turn(self, take_in: Callable[[datetime, float, Callable[[], None]], None]) -> None:
        """See whether the system clock was set. To be called often, by one thread; costs next to nothing.

        `take_in` is given what the old clock says, by how many seconds it was set, and what to call once times are moved.
        What it raises is said, and it is called again in a few seconds.
        """
        self._tell_whether_set()
        now = self._monotonic()
        offset = self._wall() - now
        step = offset - self._offset
        if abs(step) <= STEP_SECONDS or now < self._not_before:
            return
        if self._monotonic() - now > STEP_SECONDS / 5:
            return  # it was held up between the two looks

        def adopt() -> None:
            self._offset = offset

        try:
            take_in(self.now(), step, adopt)
        except Exception:
            # The daemon's loop goes on; until it succeeds, everybody has the old time.
            self._not_before = now + AGAIN_SECONDS
            logger.exception("the new time could not be taken in", seconds=round(step, 3))

    def _tell_whether_set(self) -> None:
        before, self._was_set = self._was_set, self.is_set
        moment = self.now().isoformat(timespec="seconds")
        if before and not self._was_set:
            last_seen = self.trust.last_seen
            logger.warning(
                "the system clock was not set: until it is, times are wrong and no week of the year is assumed",
                clock=moment,
                last_seen=last_seen and last_seen.isoformat(timespec="seconds"),
            )
        elif self._was_set and not before:
            logger.info("the system clock is set", clock=moment)
