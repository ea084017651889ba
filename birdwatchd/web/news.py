"""News of detections, for whoever looks just now."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from birdwatchd.domain import Detection


class News:
    """Told by the pipeline, and told on to all that listen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: tuple[Callable[[Detection], None], ...] = ()

    @property
    def readers(self) -> int:
        """How many listen."""
        return len(self._readers)

    def tell(self, detection: Detection) -> None:
        """A detection that was recorded: when it starts, and when it has ended. Called by the pipeline's thread."""
        for reader in self._readers:
            reader(detection)

    @contextmanager
    def heard_by(self, reader: Callable[[Detection], None]) -> Iterator[None]:
        """While it is entered, `reader` is called by the pipeline's thread: it has to be quick, and must not raise."""
        with self._lock:
            self._readers = (*self._readers, reader)
        try:
            yield
        finally:
            with self._lock:
                self._readers = tuple(one for one in self._readers if one is not reader)
