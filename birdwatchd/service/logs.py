"""How the daemon speaks: one line per event, lower case, a name and fields; JSON where no person is watching.

The journal is told each line's priority, so that `journalctl -p warning` finds what matters.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import structlog

from birdwatchd.service.discretion import Discretion
from birdwatchd.service.repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, Processor

    from birdwatchd.config.schema import Log
    from birdwatchd.config.secrets import Secrets


PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""Of syslog, as systemd reads them from the beginning of a line (sd-daemon(3))."""


class _Stderr:
    """Writes to whatever sys.stderr is at the moment: a live display on the terminal exchanges it.

    A log in a file may lie on a full disk, and its reader may have gone: that ends nothing. The next line that can be
    written tells how many could not be.
    """

    def __init__(self) -> None:
        self.missing = 0

    def write(self, text: str) -> int:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            self.missing += 1
        else:
            self.missing = 0
        return len(text)

    def flush(self) -> None:
        """Done with every line."""

    def tell_missing(self, _logger: Any, _method: str, event: EventDict) -> EventDict:
        """A processor of structlog."""
        return {**event, "lines_missing_before": self.missing} if self.missing else event


def set_up(log: Log, secrets: Secrets) -> None:
    """Make structlog write to standard error as the config says, without the secrets, whoever tells of them."""
    text = log.format == "text" or (log.format == "auto" and sys.stderr.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            sort_keys=False,
        )
        if text
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    processors: list[Processor] = [
        structlog.processors.format_exc_info,
        Discretion(secrets),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        if text
        else structlog.processors.TimeStamper("iso"),
    ]
    if not text:
        processors.append(_event_first)
    stderr = _Stderr()
    ending: list[Processor] = [_with_priority] if _goes_to_journal() else []
    structlog.configure(
        processors=[Repeats(), stderr.tell_missing, *processors, renderer, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, log.level.upper())),
        logger_factory=_factory(stderr),
        # A reload may change all of it.
        cache_logger_on_first_use=False,
    )


def tell_repeats(*, everything: bool = False) -> None:
    """Write how often lines came again that were held back; to be called now and then, and with `everything` at the end."""
    for processor in structlog.get_config()["processors"]:
        if isinstance(processor, Repeats):
            processor.tell(everything=everything)


class _Others(logging.Handler):
    """What libraries say to Python's own logging."""

    def emit(self, record: logging.LogRecord) -> None:
        level = logging.getLevelName(record.levelno).lower()
        exc_info = {"exc_info": record.exc_info} if record.exc_info else {}
        structlog.get_logger().log(
            logging.getLevelNamesMapping().get(level.upper(), logging.WARNING),
            record.getMessage(),
            by=record.name,
            **exc_info,
        )


def hear_others() -> None:
    """Nothing goes by the log: neither what libraries warn of, nor a thread that dies."""
    root = logging.getLogger()
    if not any(isinstance(one, _Others) for one in root.handlers):
        root.addHandler(_Others(logging.WARNING))
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_died


def _thread_died(args: threading.ExceptHookArgs) -> None:
    if issubclass(args.exc_type, SystemExit):
        return
    name = args.thread.name if args.thread is not None else ""
    error = args.exc_value or args.exc_type()
    structlog.get_logger().error(
        "a thread died", thread=name, exc_info=(args.exc_type, error, args.exc_traceback)
    )


def _goes_to_journal() -> bool:
    """In JOURNAL_STREAM systemd says which device and inode its journal's stream has."""
    try:
        stderr = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stderr.st_dev}:{stderr.st_ino}"


def _with_priority(_logger: Any, method: str, rendered: Any) -> str:
    priority = f"<{PRIORITIES.get(method, 6)}>"
    return "\n".join(f"{priority}{line}" for line in str(rendered).split("\n"))


def _event_first(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """When, how bad and what, before the fields: a person reads JSON too, at times."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


def _factory(stderr: _Stderr) -> Callable[..., structlog.WriteLogger]:
    return lambda *_: structlog.WriteLogger(stderr)  # type: ignore[arg-type] # it writes and flushes; that is all that is used
