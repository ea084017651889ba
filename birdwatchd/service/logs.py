"""How the daemon speaks: one line per event, lower case, a name and fields; JSON where no person is watching."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

    from birdwatchd.config.schema import Log


class _Stderr:
    """Writes to whatever sys.stderr is at the moment: a live display on the terminal exchanges it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def set_up(log: Log) -> None:
    """Make structlog write to standard error as the config says."""
    text = log.format == "text" or (log.format == "auto" and sys.stderr.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,
            sort_keys=False,
        )
        if text
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        if text
        else structlog.processors.TimeStamper("iso"),
    ]
    if not text:
        processors += [structlog.processors.format_exc_info, _event_first]
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, log.level.upper())),
        logger_factory=_factory,
        cache_logger_on_first_use=True,
    )


def _event_first(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """When, how bad and what, before the fields: a person reads JSON too, at times."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


def _factory(*_: Any) -> structlog.WriteLogger:
    return structlog.WriteLogger(_Stderr())  # type: ignore[arg-type] # it writes and flushes; that is all that is used
