"""Continuous recording: all that a station hears, in hourly files. Its own thread; capture knows nothing of it."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, Self

import soundfile
import structlog

from birdwatchd.audio.hour import Hour, mend, unfinished
from birdwatchd.errors import Lapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from birdwatchd.audio.clips import Sound

logger = structlog.get_logger()

FOLDER = "recordings"
"""Below the clips folder, so that one limit holds for both."""
POLL_SECONDS = 1.0
CHUNK_SECONDS = 10
"""So much is read from the ring and written at once, at most."""
LAG_SECONDS = 1.0
"""Sound that the ring will overwrite so soon is given up: it could not be copied in time."""
HEADROOM = 65536
"""FLAC may take a little more than the samples themselves."""
STOP_SECONDS = 10.0
TOO_SLOW, NO_ROOM = "not written in time", "no room"


class Space(Protocol):
    """Who says whether there is room."""

    def make_room(self, size: int) -> str:
        """Before so many bytes are written: nothing, or why not."""

    def wrote(self, size: int) -> None:
        """So many of them were written."""


class Continuous:
    """Writes what the pipeline has analysed, so that voices can be left out. A context manager: it stops when left."""

    def __init__(
        self, folder: Path, space: Space, sounds: Callable[[], Sequence[Sound]], *, node: str
    ) -> None:
        """`sounds` gives every source's, one that was opened anew after what it was before; files lie in `folder` below its name."""
        self._folder = folder / FOLDER
        self._space = space
        self._sounds = sounds
        self._node = node
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="continuous recording", daemon=True)
        self._tapes: dict[str, Tape] = {}
        self._fault = ""

    @property
    def faults(self) -> list[str]:
        """What is not being written, and why: a sentence each, none when all is well. From any thread."""
        tapes = tuple(self._tapes.items())
        return [
            *[f"nothing is recorded continuously: {self._fault}"] * bool(self._fault),
            *(f"{name} is not recorded continuously: {tape.fault}" for name, tape in tapes if tape.fault),
        ]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        mending: threading.Thread | None = None
        is_over = False
        while not is_over:
            # The last time it is what was heard while the pipeline ended.
            is_over = self._stopping.wait(POLL_SECONDS)
            fault = ""
            try:
                # Looked for before the first file of this run is begun, or that would be mended, too.
                mending = mending or self._begin_to_mend()
                self._go_on(self._sounds())
            except Exception as error:
                # The one place of this thread. What could not be done now is tried again: the disk may come back.
                fault = _words(error)
                if not self._fault:
                    logger.exception("continuous recording fails, and is tried again")
            if self._fault and not fault:
                logger.info("continuous recording goes on")
            self._fault = fault
        for tape in self._tapes.values():
            tape.close()

    def _begin_to_mend(self) -> threading.Thread:
        """Beside the recording: each hour is read as a whole, and the ring does not wait for that."""
        parts = unfinished(self._folder)

        def mend_all() -> None:
            for part in mend(parts):
                logger.warning("continuous recording mended after a crash", path=str(part))
                if self._stopping.is_set():
                    return  # the others at the next start

        thread = threading.Thread(target=mend_all, name="mending of recordings", daemon=True)
        thread.start()
        return thread

    def _go_on(self, sounds: Iterable[Sound]) -> None:
        sounds = tuple(sounds)
        for gone in self._tapes.keys() - {sound.source for sound in sounds}:
            self._tapes.pop(gone).close()
        for sound in sounds:
            tape = self._tapes.get(sound.source)
            if tape is None:
                tape = Tape(self._folder / sound.source, self._space, node=self._node)
                self._tapes[sound.source] = tape
            try:
                tape.take(sound)
            except Exception as error:  # noqa: BLE001 - it is logged
                # One source's fault keeps none of the others from being recorded.
                tape.fail(sound.source, error)


class Tape:
    """One source's sound, from its first sample on: each sample is in a file, or told as missing."""

    def __init__(self, folder: Path, space: Space, *, node: str) -> None:
        self._folder = folder
        self._space = space
        self._node = node
        self._hour: Hour | None = None
        self._at = 0
        self._told = 0
        """Gaps before the very sample `_at` that are told already."""
        self.fault = ""
        """Why nothing of it is being written; empty when all is well."""

    def take(self, sound: Sound) -> None:
        """Write what is new and analysed."""
        rate, first = sound.ring.sample_rate, sound.ring.first
        if self._at < first and sound.heard_to > first:  # opened anew, perhaps at another rate
            self.close()
            self._at, self._told = first, 0
        while self._at < sound.heard_to:
            oldest = sound.ring.oldest
            if oldest > first and self._at < oldest + LAG_SECONDS * rate:
                self._skip(min(oldest + 2 * round(LAG_SECONDS * rate), sound.heard_to), rate, TOO_SLOW)
                continue
            start = sound.clock.at(self._at)
            if self._hour is not None and not self._hour.holds(start):
                self.close()
            stop = min(sound.heard_to, self._at + min(CHUNK_SECONDS * rate, Hour.samples_left(start, rate)))
            stop = min([stop, *(gap.index for gap in sound.ring.gaps if gap.index > self._at)])
            self._tell_gaps(sound)
            try:
                samples = sound.ring.read(self._at, stop)
            except Lapped:
                continue
            if self._keep(sound, samples, stop):
                self._at, self._told = stop, 0
            else:
                self._skip(stop, rate, NO_ROOM)

    def close(self) -> None:
        """Finish the file."""
        hour, self._hour = self._hour, None
        if hour is not None:
            hour.close()

    def fail(self, source: str, error: Exception) -> None:
        """Nobody foresaw this; what is not written yet is taken the next time."""
        if not self.fault:
            logger.error("continuous recording pauses", source=source, exc_info=error)
        self.fault = _words(error)
        self.close()

    def _tell_gaps(self, sound: Sound) -> None:
        here = [gap for gap in sound.ring.gaps if gap.index == self._at]
        for gap in here[self._told :]:
            if self._hour is not None:
                with suppress(OSError):
                    self._hour.tell_gap(gap.seconds, gap.cause)
        self._told = len(here)

    def _keep(self, sound: Sound, samples: NDArray[np.float32], stop: int) -> bool:
        """Write samples, without voices. False when they could not be."""
        bound = 2 * len(samples) + HEADROOM
        try:
            fault = self._space.make_room(bound)
            if not fault:
                if self._hour is None:
                    self._hour = self._open(sound)
                before = self._hour.size
                self._silence(sound, samples, stop)
                self._hour.write(samples)
                self._space.wrote(max(0, self._hour.size - before))
        except (OSError, soundfile.LibsndfileError) as error:
            fault = _words(error)
            self.close()
        if fault and not self.fault:
            logger.error("continuous recording pauses", source=sound.source, reason=fault)
        elif self.fault and not fault:
            logger.info("continuous recording goes on", source=sound.source)
        self.fault = fault
        return not fault

    def _open(self, sound: Sound) -> Hour:
        return Hour(
            self._folder,
            sound.source,
            first_sample=self._at,
            start=sound.clock.at(self._at),
            rate=sound.ring.sample_rate,
            node=self._node,
        )

    def _silence(self, sound: Sound, samples: NDArray[np.float32], stop: int) -> None:
        for spans, cause in ((sound.voices, "a person speaks"), (sound.unheard, "not analysed")):
            for first, last in spans:
                offset, end = max(first, self._at) - self._at, min(last, stop) - self._at
                if offset < end and self._hour is not None:
                    samples[offset:end] = 0
                    self._hour.tell_silence(offset, end - offset, cause)

    def _skip(self, stop: int, rate: int, cause: str) -> None:
        if self._hour is not None:
            with suppress(OSError):
                self._hour.tell_gap((stop - self._at) / rate, cause)
        self._at, self._told = stop, 0


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
