"""From the actions of a config to actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from birdwatchd.dispatch.plugins import BrokenPlugin, LeftOut, Plugins
from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from birdwatchd.actions import Action, ActionConfig

logger = structlog.get_logger()


def make_action(config: ActionConfig, plugins: Plugins) -> Action:
    """The action that has these settings.

    Raises:
        UserError: it says itself what the user can mend.
        BrokenPlugin: it cannot be made; the message is a sentence that names it.
    """
    if isinstance(config, LeftOut):
        raise BrokenPlugin(config.why)
    try:
        return plugins[config.kind](config)
    except UserError:
        raise
    except Exception as error:
        # Whatever a third party's constructor does.
        raise BrokenPlugin(
            f"the action {config.name} of kind {config.kind} cannot be made: {type(error).__name__}: {error}"
        ) from error


def make_actions(configs: Iterable[ActionConfig], plugins: Plugins) -> list[Action]:
    """All that are on and can be made; what cannot is named in the log and left out.

    Raises:
        UserError: one of them says what the user can mend.
    """
    made = []
    for config in configs:
        if config.enabled:
            try:
                made.append(make_action(config, plugins))
            except BrokenPlugin as error:
                logger.error("action left out", action=config.name, reason=str(error))  # noqa: TRY400 - the reason says it all
    return made
