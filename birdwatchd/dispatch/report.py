"""What the log says of one action: the first of a row of failures, its end, and every delivery that is given up."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import structlog

from birdwatchd.dispatch.verdict import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birdwatchd.domain import DeliveryStatus
    from birdwatchd.store.deliveries import Entry, Outcome

MOST_LINES = 5
"""Of deliveries that are given up together, so many are named one by one."""

logger = structlog.get_logger()


class Report:
    """Says each thing once. For one thread."""

    def __init__(self, action: str) -> None:
        self._action = action
        self._error = ""
        self._failed = 0
        self._in_trouble = False
        self.counts: Counter[DeliveryStatus] = Counter()
        """What became of deliveries in this run, but for those that still wait. To be read by any thread."""

    @property
    def error(self) -> str:
        """Why it does not get on just now; empty when it does. From any thread."""
        return "the database cannot be written" if self._in_trouble else self._error

    def settled(self, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> None:
        """What became of a batch."""
        self.counts.update(one.status for one in outcomes if one.status != "waiting")
        by_number = {entry.number: entry for entry in entries}
        given_up = [one for one in outcomes if one.status not in ("done", "waiting")]
        failed = [one for one in outcomes if one.status == "waiting"]
        for outcome in given_up[:MOST_LINES]:
            detection = by_number[outcome.number].delivery.detection
            logger.warning(
                "delivery given up",
                action=self._action,
                status=outcome.status,
                reason=outcome.error,
                species=detection.label.common_name,
                id=detection.id,
            )
        if given_up[MOST_LINES:]:
            self._say_given_up(len(given_up[MOST_LINES:]), given_up[-1].status, "as the ones before")
        if failed:
            self._failing(failed, by_number[failed[0].number])
        elif any(one.status == "done" for one in outcomes):
            self._working()

    def gave_up(self, count: int, status: DeliveryStatus, reason: str) -> None:
        """Deliveries that were given up all at once."""
        if count:
            self.counts[status] += count
            self._say_given_up(count, status, reason)

    def not_ready(self, error: BaseException, seconds: float) -> None:
        """It cannot begin."""
        self._say_once(words(error), "action is not ready", again_in_seconds=round(seconds, 1))

    def left_behind(self, seconds: float) -> None:
        """It has not returned in time."""
        logger.error(
            "action does not return, nothing more is asked of it until it does",
            action=self._action,
            timeout_seconds=seconds,
        )

    def returned(self, error: BaseException | None) -> None:
        """It has after all."""
        said = {} if error is None else {"error": words(error)}
        logger.warning("action has returned after all", action=self._action, **said)

    def trouble(self, error: Exception) -> None:
        """The database cannot be read or written."""
        if not self._in_trouble:
            logger.error("deliveries wait for the database", action=self._action, reason=str(error))
        self._in_trouble = True

    def no_trouble(self) -> None:
        """It was written."""
        if self._in_trouble:
            logger.warning("deliveries go on", action=self._action)
        self._in_trouble = False

    def _say_given_up(self, count: int, status: DeliveryStatus, reason: str) -> None:
        logger.warning(
            "deliveries given up", action=self._action, status=status, deliveries=count, reason=reason
        )

    def _failing(self, failed: Sequence[Outcome], entry: Entry) -> None:
        self._failed += 1
        self._say_once(
            failed[0].error,
            "delivery failed, it is tried again",
            id=entry.delivery.detection.id,
            attempts=failed[0].attempts,
        )

    def _say_once(self, error: str, event: str, **fields: str | float) -> None:
        write = logger.debug if error == self._error else logger.warning
        write(event, action=self._action, error=error, **fields)
        self._error = error

    def _working(self) -> None:
        if self._error:
            logger.info("action works again", action=self._action, failures=self._failed)
        self._error, self._failed = "", 0
