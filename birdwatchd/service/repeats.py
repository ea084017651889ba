"""No floods: a line of the log that comes again and again is written once, and then counted."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict

WITHIN_SECONDS = 60.0
"""A line like one that was written so recently is counted instead."""
KEEP = 500
"""So many different lines are remembered."""
EACH = frozenset({"detection", "detection ended", "acted"})
"""Whatever else happens, every one of these is a line of its own."""
PASSING = frozenset({"id", "species", "path", "at", "until", "start", "end"})
"""Fields that differ from line to line of the same kind. Numbers do, too."""


Shape = tuple[str, ...]

_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(slots=True)
class _Line:
    """What was written, and how often it came again since then."""

    written_at: float
    again: int = 0
    latest: tuple[str, dict[str, Any]] = ("", {})
    """Level and fields of the last one that was not written."""


class Repeats:
    """A processor of structlog. Two lines are alike when event, level and all texts in their fields are, but for names of things that pass.

    So nothing that says something new is held back: another source, another error. From any thread.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._lines: OrderedDict[Shape, _Line] = OrderedDict()

    def __call__(self, _logger: Any, method: str, event: EventDict) -> EventDict:
        """The line as it is, or with `again`, the number of its like that were not written since the last one."""
        if event.get("event") in EACH or "again" in event:
            return event
        now, shape = self._monotonic(), _shape(method, event)
        with self._lock:
            line = self._lines.get(shape)
            if line is not None and now - line.written_at < WITHIN_SECONDS:
                line.again += 1
                line.latest = method, dict(event)
                raise structlog.DropEvent
            again = line.again if line is not None else 0
            self._lines[shape] = _Line(now)
            self._lines.move_to_end(shape)
            forgotten = self._lines.popitem(last=False)[1] if len(self._lines) > KEEP else None
        if forgotten is not None and forgotten.again:
            _say(forgotten)
        return {**event, "again": again} if again else event

    def tell(self, *, everything: bool = False) -> None:
        """Write what came again and was not written, once its minute is over; to be called now and then, and at the end."""
        now = self._monotonic()
        with self._lock:
            over = [
                (shape, line)
                for shape, line in self._lines.items()
                if everything or now - line.written_at >= WITHIN_SECONDS
            ]
            for shape, line in over:
                if line.again and not everything:
                    self._lines[shape] = _Line(now)  # it goes on: the next one is counted, too
                else:
                    del self._lines[shape]
        for _, line in over:
            if line.again:
                _say(line)


def _say(line: _Line) -> None:
    level, fields = line.latest
    logger = structlog.get_logger()
    # Its traceback was written with the first one.
    fields = {key: value for key, value in fields.items() if key not in ("event", "exc_info", "level")}
    getattr(logger, level)(line.latest[1]["event"], **fields, again=line.again)


def _shape(method: str, event: EventDict) -> Shape:
    texts = (
        f"{key}={_alike(str(value))}"
        for key, value in sorted(event.items())
        if key not in PASSING and not isinstance(value, (int, float))
    )
    return (method, *texts, _raised(event.get("exc_info")))


def _alike(text: str) -> str:
    """A sentence without its numbers; a word is a name, and its numbers belong to it."""
    return _NUMBER.sub("#", text) if " " in text else text


def _raised(exc_info: Any) -> str:
    error = (
        sys.exc_info()[1] if exc_info is True else exc_info[1] if isinstance(exc_info, tuple) else exc_info
    )
    return f"{type(error).__name__}: {_alike(str(error))}" if isinstance(error, BaseException) else ""
