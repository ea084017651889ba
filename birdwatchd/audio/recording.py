"""A file, or a folder of files, as a source: it waits for its reader instead of dropping."""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr
import structlog

from birdwatchd.audio.clock import FileClock
from birdwatchd.audio.decoding import SUFFIXES, open_sound
from birdwatchd.audio.mix import mix
from birdwatchd.audio.recorded_at import recorded_at
from birdwatchd.audio.ring import Ring
from birdwatchd.config.plain import plain
from birdwatchd.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import tzinfo

    from numpy.typing import NDArray

    from birdwatchd.audio.decoding import Sound
    from birdwatchd.config.schema import RecordingSource

logger = structlog.get_logger(__name__)

_BLOCK_SECONDS = {"real_time": 0.1, "fast": 1.0}
_STOP_SECONDS = 5.0


def sound_files(folder: Path) -> list[Path]:
    """The recordings in `folder` and below, in the order of their names; hidden ones and links to folders left out."""
    found = [
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.casefold() in SUFFIXES
    ]
    return sorted(
        path for path in found if not any(part[0] == "." for part in path.relative_to(folder).parts)
    )


class Recording:
    """Recordings played into a ring, in real time or as fast as the pipeline reads.

    All of them come at the rate of the first that can be read; the others are resampled to it. Between two there is a
    gap with the cause `between files`. A file begins when its name or its comments say; one that does not tell begins
    where the one before it ended, the first one now.
    """

    waits = True
    """It reads on when there is room, see `Ring.write_when_released`."""

    def __init__(
        self,
        config: RecordingSource,
        *,
        ring_seconds: float,
        wake: Callable[[], None],
        first_sample: int = 0,
        zone: tzinfo | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            config: what to play, and how.
            ring_seconds: length of the ring.
            wake: called from the source's thread after samples were written, and at the end.
            first_sample: the index of the first sample; that of a source before it goes on.
            zone: what local times in names and comments mean; the machine's own zone when None.
            monotonic: seconds that real time is paced by.
            now: the aware time, for recordings that do not tell theirs.
        """
        self.name = config.name
        self.site = config.site
        self.unreadable: list[tuple[Path, str]] = []
        """Files that were skipped, and why."""
        self.complaints: list[tuple[Path, str]] = []
        """Files that were played as far as they go, and what is wrong with them."""
        self._config = config
        self._ring_seconds = ring_seconds
        self._wake = wake
        self._first_sample = first_sample
        self._zone = zone
        self._monotonic = monotonic
        self._now = now
        self._fault = ""
        self._finished = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"recording {self.name}", daemon=True)
        self._anchor: tuple[int, datetime] | None = None
        self._began = 0.0

    @property
    def finished(self) -> bool:
        """True when everything was written, or the source was stopped."""
        return self._finished

    @property
    def fault(self) -> str:
        """The last file's fault, until samples arrive again."""
        return plain(self._fault)  # it may tell the name of a file, which may be anything

    def start(self) -> None:
        """Open the first file that can be read, and begin to write.

        Raises:
            RecordingError: there is no file, or none that can be read.
        """
        path = self._config.path
        files = sound_files(path) if path.is_dir() else [path]
        if not files:
            raise RecordingError(
                f"{path} holds no recordings: name a folder with sound files (wav, flac, mp3 and so on)"
            )
        self._opened = self._open_all(files)
        first = next(self._opened, None)
        if first is None:
            _, reason = self.unreadable[0]
            many = len(files) > 1
            raise RecordingError(
                f"none of the {len(files)} recordings in {path} can be read: {reason}" if many else reason
            )
        self._opened = chain([first], self._opened)
        rate = first[1].sample_rate
        self.ring = Ring(max(rate, round(self._ring_seconds * rate)), rate, self._first_sample)
        self.clock = FileClock(rate)
        self._began = self._monotonic()
        self._thread.start()

    def stop(self) -> None:
        """End it, whether or not anybody reads on."""
        self._stopping.set()
        if self._thread.ident is not None:
            self.ring.close()
            self._thread.join(_STOP_SECONDS)
        self._finished = True

    def _open_all(self, files: Iterable[Path]) -> Iterator[tuple[Path, Sound, Iterator[NDArray[np.float32]]]]:
        """Each file that can be read, open, with its blocks; it is closed when the next one is asked for."""
        for path in files:
            with ExitStack() as stack:
                try:
                    sound = stack.enter_context(open_sound(path))
                    blocks = self._blocks(path, sound)
                except RecordingError as error:
                    self._fault = str(error)
                    self.unreadable.append((path, str(error)))
                    logger.warning("recording unreadable", source=self.name, reason=str(error))
                else:
                    yield path, sound, blocks
                    if sound.complaint:
                        self._fault = f"{path}: {sound.complaint}"
                        self.complaints.append((path, sound.complaint))
                        logger.warning(
                            "recording damaged", source=self.name, path=str(path), what=sound.complaint
                        )

    def _blocks(self, path: Path, sound: Sound) -> Iterator[NDArray[np.float32]]:
        """One channel of a file, float32 (n,), at its own rate; at least one block."""
        channel = self._config.channel
        if channel != "mix" and channel > sound.channels:
            count = "1 channel" if sound.channels == 1 else f"{sound.channels} channels"
            raise RecordingError(
                f"{path} has {count}: set `channel` of source {self.name} to no more, not {channel}"
            )
        blocks = sound.blocks(_BLOCK_SECONDS[self._config.speed])
        first = next(blocks, None)
        if first is None:
            raise RecordingError(
                f"{path} holds no sound ({sound.complaint or 'its length is 0'}): leave it out"
            )
        return (mix(block) if channel == "mix" else block[:, channel - 1] for block in chain([first], blocks))

    def _run(self) -> None:
        try:
            for path, sound, blocks in self._opened:
                self._place(path)
                if not self._play(sound, blocks, path):
                    return
        except Exception as error:
            # The one place of this thread: whatever a decoder raises must end the source, not leave it silent.
            self._fault = f"{type(error).__name__}: {error}"
            self.unreadable.append((self._config.path, self._fault))
            logger.exception("recording failed", source=self.name)
        finally:
            self._finished = True
            self._wake()

    def _place(self, path: Path) -> None:
        """Say when the file at the ring's end began, and what is missing since the one before it."""
        index = self.ring.written
        end = self._end()
        start = self._start_of(path, first=end is None) or end or self._now()
        if end is not None:
            self.ring.mark_gap(max(0.0, (start - end).total_seconds()), "between files")
        self.clock.anchor(index, start.astimezone(UTC))
        self._anchor = index, start

    def _end(self) -> datetime | None:
        """When the samples written so far end."""
        if self._anchor is None:
            return None
        index, start = self._anchor
        return start + timedelta(seconds=(self.ring.written - index) / self.ring.sample_rate)

    def _start_of(self, path: Path, *, first: bool) -> datetime | None:
        if self._config.start == "auto":
            known = recorded_at(path, self._zone)
            return None if known is None else known.start
        if first and isinstance(self._config.start, datetime):
            return (
                self._config.start if self._config.start.tzinfo else self._config.start.astimezone(self._zone)
            )
        return None

    def _play(self, sound: Sound, blocks: Iterator[NDArray[np.float32]], path: Path) -> bool:
        """Write a file to the ring. False when the source was stopped meanwhile."""
        if sound.sample_rate != self.ring.sample_rate:
            logger.info(
                "recording resampled", path=str(path), rate=sound.sample_rate, to=self.ring.sample_rate
            )
            blocks = _resample(blocks, sound.sample_rate, self.ring.sample_rate)
        for block in blocks:
            self._fault = ""
            for piece in np.array_split(block, -(-len(block) // max(1, self.ring.capacity // 4))):
                if not self._write(piece):
                    return False
        return True

    def _write(self, block: NDArray[np.float32]) -> bool:
        if self._config.speed == "real_time":
            played = self.ring.written - self._first_sample + len(block)
            due = self._began + played / self.ring.sample_rate
            self._stopping.wait(max(0.0, due - self._monotonic()))
        if self._stopping.is_set() or not self.ring.write_when_released(block):
            return False
        self._wake()
        return True


def _resample(blocks: Iterable[NDArray[np.float32]], rate: int, to: int) -> Iterator[NDArray[np.float32]]:
    stream = soxr.ResampleStream(rate, to, 1, dtype="float32")
    empty = np.zeros(0, dtype=np.float32)
    for block, last in chain(((block, False) for block in blocks), [(empty, True)]):
        resampled = stream.resample_chunk(block, last=last)
        if len(resampled):
            yield resampled
