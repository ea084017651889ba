"""What the log may say while a command analyses: faults of birdwatchd, on stderr. The rest stands in the findings."""

from __future__ import annotations

import logging
import sys

import structlog


def quiet() -> None:
    """Set the log of this process up."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
