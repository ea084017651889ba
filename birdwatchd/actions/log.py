"""`log`: the smallest useful action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import structlog

from birdwatchd.actions import Action, ActionConfig, Context

if TYPE_CHECKING:
    from birdwatchd.domain import Detection

logger = structlog.get_logger()


class Log(Action):
    """Write each detection to the log. The smallest useful action: copy it to write your own."""

    durability = "ephemeral"
    default_max_age_seconds = 60.0

    class Config(ActionConfig):
        """Its settings."""

        level: Literal["info", "warning"] = "info"
        """How loud the line is."""

    def run(self, detection: Detection, context: Context) -> None:
        """Write the line."""
        write = getattr(logger, self.config.level)
        write(
            "acted",
            action=self.config.name,
            species=detection.label.common_name,
            score=round(detection.score, 3),
            source=detection.source,
            state=detection.state,
            count_today=context.delivery.tally.count_today,
        )
