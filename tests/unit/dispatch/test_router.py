"""Which actions a detection sets off, and with what order."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from birdwatchd.actions import Action, ActionConfig
from birdwatchd.dispatch.router import Router
from birdwatchd.store.deliveries import Order
from tests.doubles import DAWN, sample_delivery, sample_detection, sample_tally

if TYPE_CHECKING:
    from birdwatchd.actions import Context
    from birdwatchd.domain import Detection

BERLIN = ZoneInfo("Europe/Berlin")


class Letter(Action):
    def run(self, detection: Detection, context: Context) -> None: ...


class Tape(Letter):
    durability = "bounded"
    default_max_age_seconds = 600.0

    def after_seconds(self) -> float:
        return 1.5


def action(kind: type[Action] = Letter, **settings: Any) -> Action:
    return kind(ActionConfig.model_validate({"name": "one", "kind": "x", **settings}))


def names(router: Router, **detection: Any) -> list[str]:
    return [order.action for order in router.route(sample_detection(**detection), sample_tally())]


def test_each_action_has_its_own_order() -> None:
    router = Router(
        [action(), action(Tape, name="two", max_age_seconds=30), action(Tape, name="three")], BERLIN, None
    )
    assert router.route(sample_detection(), sample_tally()) == [
        Order("one", "durable", timedelta(days=7), 0),
        Order("two", "bounded", timedelta(seconds=30), 72_000),
        Order("three", "bounded", timedelta(minutes=10), 72_000),
    ]


def test_rules_and_restraint_are_asked_of_each() -> None:
    router = Router(
        [
            action(when={"min_score": 0.99}),
            action(name="two", cooldown_seconds=60),
            action(name="three", on="ended"),
        ],
        BERLIN,
        None,
    )
    assert names(router) == ["two"]
    assert names(router, state="ended") == ["three"]
    assert names(router, start=DAWN + timedelta(seconds=30)) == []
    router.settle(kept=False)
    assert names(router, start=DAWN + timedelta(seconds=30)) == ["two"]


def test_a_restart_forgets_nothing() -> None:
    router = Router([action(cooldown_seconds=60)], BERLIN, None)
    assert router.memory == timedelta(seconds=60)
    router.remember(
        [sample_delivery("one"), sample_delivery("somebody else", detection=sample_detection(id="y"))]
    )
    assert names(router, start=DAWN + timedelta(seconds=30), id="x") == []
    assert names(router, start=DAWN + timedelta(seconds=60), id="x") == ["one"]
