"""The times without a connection: why, told once, and how long to wait before the next attempt."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import structlog

from birdwatchd.actions import Postpone
from birdwatchd.actions.mqtt_faults import address

if TYPE_CHECKING:
    from birdwatchd.actions.mqtt_settings import MqttConfig

PAUSE_SECONDS = (1.0, 300.0)
"""First and longest pause between two attempts to connect."""
RETRY_SECONDS = (2.0, 60.0)
"""When a delivery may ask again: about when the next attempt to connect was made."""

logger = structlog.get_logger()


class Absence:
    """Why there is no connection; `reason` is empty while there is one."""

    def __init__(self, settings: MqttConfig) -> None:
        self.reason = f"there is no connection to the broker at {address(settings)} yet"
        self.attempts = 0
        self.is_quiet = False
        """Set when the connection is to end: nobody need be told."""
        self._settings = settings
        self._pause = 0.0
        self._told: set[str] = set()
        self._end_is_news = True

    def goes_on(self, reason: str) -> float:
        """An attempt failed, or a connection was lost; the seconds until the next attempt, never quite the same."""
        self.reason = reason
        shortest, longest = PAUSE_SECONDS
        doubled = min(longest, shortest * 2.0 ** min(self.attempts, 20))
        self._pause = doubled * random.uniform(0.5, 1.0)  # noqa: S311 - it keeps no secret
        self.attempts += 1
        if not self.is_quiet and self.tell("mqtt not connected", reason):
            self._end_is_news = True
        return self._pause

    def ends(self) -> None:
        """There is a connection."""
        self.reason = ""
        if self._end_is_news:
            self._end_is_news = False
            logger.info("mqtt connected", action=self._settings.name, broker=address(self._settings))

    def forget(self) -> None:
        """The connection was a good one: the next pause is short again, and the same fault is news again."""
        self.attempts = 0
        self._told.clear()

    def tell(self, event: str, reason: str) -> bool:
        """Write a warning, unless it was written already."""
        if reason in self._told:
            return False
        self._told.add(reason)
        logger.warning(event, action=self._settings.name, reason=reason)
        return True

    @property
    def postponement(self) -> Postpone:
        """What a delivery is told."""
        soonest, latest = RETRY_SECONDS
        reason = self.reason or "the connection to the broker was lost just now"
        return Postpone(reason, min(latest, max(soonest, self._pause)))
