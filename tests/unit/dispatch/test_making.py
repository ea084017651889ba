"""From a config to actions; what cannot be made is left out and named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog

from birdwatchd.actions import Action, ActionConfig
from birdwatchd.actions.log import Log
from birdwatchd.dispatch import making
from birdwatchd.dispatch.making import make_actions
from birdwatchd.dispatch.plugins import LeftOut, Plugins
from birdwatchd.errors import UserError
from tests.acting import config

if TYPE_CHECKING:
    from birdwatchd.actions import Context
    from birdwatchd.domain import Detection


class Raising(Action):
    error: Exception = ZeroDivisionError("no pins")

    def __init__(self, settings: ActionConfig) -> None:
        super().__init__(settings)
        raise self.error

    def run(self, detection: Detection, context: Context) -> None: ...


class Refusing(Raising):
    error = UserError("there is no group gpio; join it")


class Absent(LeftOut):
    why = "the action plugin lamp cannot be imported"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    capture = structlog.testing.LogCapture()
    monkeypatch.setattr(
        making, "logger", structlog.wrap_logger(structlog.ReturnLogger(), processors=[capture])
    )
    return capture.entries


@pytest.fixture
def plugins() -> Plugins:
    found = Plugins()
    found._found |= {"raising": Raising, "refusing": Refusing}
    return found


def test_all_that_are_on_are_made(plugins: Plugins, said: list[Any]) -> None:
    configs = [
        Log.Config(name="one", kind="log"),
        Log.Config(name="two", kind="log", enabled=False),
        Log.Config(name="three", kind="log"),
    ]
    made = make_actions(configs, plugins)
    assert [type(action) for action in made] == [Log, Log]
    assert [action.config.name for action in made] == ["one", "three"]
    assert said == []


def test_what_cannot_be_made_is_left_out_and_named(plugins: Plugins, said: list[Any]) -> None:
    configs = [
        config("one", kind="raising"),
        Absent(name="two", kind="lamp"),
        Log.Config(name="three", kind="log"),
    ]
    assert [action.config.name for action in make_actions(configs, plugins)] == ["three"]
    assert [(line["action"], line["reason"]) for line in said] == [
        ("one", "the action one of kind raising cannot be made: ZeroDivisionError: no pins"),
        ("two", "the action plugin lamp cannot be imported"),
    ]


def test_what_the_user_can_mend_is_an_error(plugins: Plugins) -> None:
    with pytest.raises(UserError, match="there is no group gpio; join it"):
        make_actions([config("one", kind="refusing")], plugins)
