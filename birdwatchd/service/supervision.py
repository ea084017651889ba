"""What watches over the daemon from outside: systemd, where it is there."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from birdwatchd.audio.source import Source
    from birdwatchd.service.progress import Turning
    from birdwatchd.service.systemd import Systemd, Watchdog


class Supervision:
    """The daemon's side of it. Without systemd nobody is told anything."""

    def __init__(self, systemd: Systemd | None = None, watchdog: Watchdog | None = None) -> None:
        self._systemd = systemd
        self._watchdog = watchdog

    def reloading(self) -> None:
        """The config is read again. The watchdog goes on."""
        if self._systemd is not None:
            self._systemd.reloading()

    def reloaded(self, remark: str = "") -> None:
        """That is over, one way or the other; `remark` is told with how it does, until the next."""
        if self._watchdog is not None:
            self._watchdog.remark = remark
        if self._systemd is not None:
            self._systemd.ready()

    def turn(self) -> None:
        """Feed the watchdog, while the daemon gets on. Called often, by the main thread."""
        if self._watchdog is not None:
            self._watchdog.turn()


@contextmanager
def supervised(pipeline: Turning, sources: Sequence[Source]) -> Iterator[Supervision]:
    """READY at the beginning, STOPPING at the end. `sources` are looked at anew each time: they may come and go."""
    if "NOTIFY_SOCKET" not in os.environ:
        yield Supervision()
        return
    from birdwatchd.service.progress import Progress
    from birdwatchd.service.systemd import Systemd, Watchdog

    systemd = Systemd.of_environment()
    if systemd is None:
        yield Supervision()
        return
    systemd.ready()
    try:
        yield Supervision(systemd, Watchdog(systemd, Progress(pipeline, sources)))
    finally:
        systemd.stopping()
        systemd.close()
