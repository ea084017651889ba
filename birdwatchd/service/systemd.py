"""What systemd is told: that everything runs, that it goes on, how it does, that it ends."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Self

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from birdwatchd.service.progress import Progress

LOOK_SECONDS = 1.0
"""How often it is looked at whether the daemon gets on."""
SHORTEST_PATIENCE_SECONDS = 5.0
"""However short the watchdog: a batch takes its time."""

logger = structlog.get_logger()


class Systemd:
    """The socket that a `Type=notify` unit gives its main process. Used by the main thread only."""

    def __init__(self, address: str, watchdog_seconds: float | None = None) -> None:
        """Talk to a datagram socket: a path, or `@name` for an abstract one. `watchdog_seconds` is `WatchdogSec=`."""
        self.watchdog_seconds = watchdog_seconds
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        # systemd reads at once; one that does not must not hold up the daemon.
        self._socket.settimeout(1.0)
        self._status = ""
        self._refused = False

    @classmethod
    def of_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self | None:
        """The socket that the environment names; None when there is none.

        The variables are taken out, so that no program that the daemon starts from then on speaks for it.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        for_us = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if not address.startswith(("/", "@")):
            return None
        watched = for_us and microseconds.isdecimal() and int(microseconds) > 0
        return cls(address, int(microseconds) / 1e6 if watched else None)

    def ready(self) -> None:
        """Everything runs. The watchdog counts from here on."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The config is read again; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say how it does, in one line of `systemctl status`. Said again only when it changes."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def stopping(self) -> None:
        """It ends, by its own will or because it was asked to."""
        self._send("STOPPING=1\nSTATUS=ending: what was heard is analysed, what was found is passed on")

    def close(self) -> None:
        """Nothing more will be said."""
        self._socket.close()

    def _send(self, message: str) -> None:
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError as error:
            # Not worth ending for: if systemd misses it, systemd acts. Said once, it may come every few seconds.
            if not self._refused:
                logger.warning(
                    "systemd cannot be told", message=message.partition("\n")[0], reason=str(error)
                )
            self._refused = True
        else:
            self._refused = False


class Watchdog:
    """Feeds systemd's watchdog while the daemon gets on, and says how it does. Turned by the main thread."""

    def __init__(
        self, systemd: Systemd, progress: Progress, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """A watchdog of 60 s is fed every 30 s, and not while something stands still for 30 s or more."""
        self._systemd = systemd
        self._progress = progress
        self._monotonic = monotonic
        self._half = systemd.watchdog_seconds / 2 if systemd.watchdog_seconds else None
        self._patience = max(self._half or 0.0, SHORTEST_PATIENCE_SECONDS)
        self._looked_at = self._fed_at = float("-inf")
        self._hangs = ""
        self.remark = ""
        """Something to be told before how it does."""

    def turn(self) -> None:
        """Look, and feed when it is time. As often as one likes."""
        now = self._monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        hangs = self._progress.hangs(now, self._patience)
        self._systemd.status("; ".join(filter(None, (self.remark, hangs or self._progress.in_words()))))
        if hangs != self._hangs:
            self._say(hangs)
        # A look comes every second, so the half is never missed by more than one.
        if self._half is not None and not hangs and now - self._fed_at >= self._half - LOOK_SECONDS:
            self._systemd.alive()
            self._fed_at = now

    def _say(self, hangs: str) -> None:
        if hangs and not self._hangs:
            fate = (
                "systemd's watchdog is not fed until it goes on" if self._half else "nothing watches over it"
            )
            logger.error("the daemon does not get on", reason=hangs, fate=fate)
        elif not hangs:
            logger.info("the daemon gets on again", after=self._hangs)
        self._hangs = hangs
