"""The router: which actions a detection sets off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from birdwatchd.dispatch.restraint import Restraint
from birdwatchd.dispatch.rules import Rules
from birdwatchd.store.deliveries import Order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, tzinfo

    from birdwatchd.actions import Action
    from birdwatchd.domain import Delivery, Detection, Tally
    from birdwatchd.sun import Sky

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Route:
    """One action, and what stands between it and a detection."""

    action: Action
    rules: Rules
    restraint: Restraint
    max_age: timedelta
    after_seconds: float

    def refusal(self, detection: Detection, tally: Tally) -> str:
        return self.rules.refusal(detection, tally) or self.restraint.refusal(detection)


class Router:
    """Asks each action's rules, in the order of the config. For one thread, the one that records."""

    def __init__(self, actions: Sequence[Action], zone: tzinfo, sky: Sky | None) -> None:
        """`sky` is None where nobody knows where the station stands."""
        self._routes = [
            _Route(
                action=action,
                rules=Rules(action.config, zone, sky),
                restraint=Restraint(action.config),
                max_age=timedelta(seconds=max_age_seconds(action)),
                after_seconds=action.after_seconds(),
            )
            for action in actions
        ]

    @property
    def memory(self) -> timedelta:
        """How far back it has to know what was acted on."""
        return max((route.restraint.memory for route in self._routes), default=timedelta())

    def remember(self, deliveries: Iterable[Delivery]) -> None:
        """Take in what was acted on before this start, oldest first."""
        restraints = {route.action.config.name: route.restraint for route in self._routes}
        for delivery in deliveries:
            if delivery.action in restraints:
                restraints[delivery.action].acted(delivery.detection)
        self.settle(kept=True)

    def route(self, detection: Detection, tally: Tally) -> list[Order]:
        """The deliveries that are to be made of a detection. It counts as acted on until `settle` says otherwise."""
        orders = []
        for route in self._routes:
            reason = route.refusal(detection, tally)
            if reason:
                logger.debug(
                    "action keeps still", action=route.action.config.name, reason=reason, id=detection.id
                )
                continue
            route.restraint.acted(detection)
            after = math.ceil(route.after_seconds * _sample_rate(detection))
            orders.append(Order(route.action.config.name, route.action.durability, route.max_age, after))
        return orders

    def move(self, before: datetime, seconds: float) -> None:
        """The clock was set, when it said `before`."""
        for route in self._routes:
            route.restraint.move(before, seconds)

    def settle(self, *, kept: bool) -> None:
        """What was routed since the last call was committed, or else it never happened."""
        for route in self._routes:
            route.restraint.settle(kept=kept)


def max_age_seconds(action: Action) -> float:
    """How long a delivery of that action is worth something."""
    own: float | None = action.config.max_age_seconds
    return action.default_max_age_seconds if own is None else own


def _sample_rate(detection: Detection) -> float:
    seconds = (detection.end - detection.start).total_seconds()
    return (detection.end_sample - detection.start_sample) / seconds if seconds > 0 else 0.0
