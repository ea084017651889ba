"""Reloads, one after the other, on a thread of their own: the main thread feeds the watchdog meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from birdwatchd.service.signals import Asked
    from birdwatchd.service.supervision import Supervision

FINISH_SECONDS = 20.0
"""How long an end waits for a reload that is under way."""

REFUSED = "the changed config was not taken as a whole (the log says why)"

logger = structlog.get_logger()


class Reloading:
    """Begins a reload when it was asked for, and tells systemd of its beginning and end. For the main thread."""

    def __init__(
        self, asked: Asked, supervision: Supervision, reload: Callable[[Callable[[], bool]], bool]
    ) -> None:
        """`reload` raises nothing, and says whether all of the new config was taken.

        It is given what says whether the daemon goes on: where it does not, nothing is begun any more.
        """
        self._asked = asked
        self._supervision = supervision
        self._reload = reload
        self._thread: threading.Thread | None = None
        self._taken = True
        self._is_over = False

    def turn(self) -> None:
        """Begin or end one, if it is time. As often as one likes."""
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
            self._supervision.reloaded("" if self._taken else REFUSED)
        if self._thread is None and self._asked.reload:
            self._asked.reload = False
            self._supervision.reloading()
            self._thread = threading.Thread(target=self._work, name="reload", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        self._taken = self._reload(lambda: not self._is_over)

    def finish(self) -> None:
        """The daemon ends: wait for one that is under way, which leaves out what it has not begun."""
        self._is_over = True
        if self._thread is not None:
            self._thread.join(FINISH_SECONDS)
            if self._thread.is_alive():
                logger.error("a reload did not end in time", seconds=FINISH_SECONDS)
