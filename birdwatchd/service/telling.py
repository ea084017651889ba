"""Who is told how the daemon does: `birdwatchd status` on a local socket, Prometheus on a port, and the log what it was spared."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from birdwatchd.service.logs import tell_repeats
from birdwatchd.service.observer import Observer, Parts
from birdwatchd.service.status_socket import StatusSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

REPEATS_SECONDS = 60.0
"""How often it is told what came again and again."""


@contextmanager
def telling(parts: Parts) -> Iterator[Observer]:
    """Answers while it is entered; what it gives has to be turned by the main thread.

    Raises:
        ServiceError: the port cannot be had.
    """
    config, observer = parts.config(), Observer(parts)
    parts.schedule.every(REPEATS_SECONDS, "log", tell_repeats)
    with ExitStack() as stack:
        stack.callback(tell_repeats, everything=True)
        stack.enter_context(StatusSocket(config.store.database, lambda: observer.status().to_json()))
        if config.metrics is not None:
            from birdwatchd.service.endpoint import Endpoint

            stack.enter_context(Endpoint(config.metrics, observer.status))
        yield observer
