"""One file of a continuous recording: at most an hour of one source, FLAC, with a sidecar that tells what is missing in it."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import soundfile

from birdwatchd import __version__
from birdwatchd.actions.clip_files import PART, write_together
from birdwatchd.actions.clip_sound import to_pcm16
from birdwatchd.on_disk import sync

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

SUFFIX, SIDECAR = ".flac", ".json"
SYNC_SECONDS = 60.0
"""A power cut loses so much at most; oftener would wear out a memory card."""
BLOCK = 4096
"""What libsndfile encodes at once: a file that was cut off is whole up to its last block."""

# RFC 9639, 8.2: the last 36 bits of these 8 bytes say how many samples a FLAC file holds; whoever writes it puts them there
# at the end.
COUNT_AT, COUNT_BYTES, COUNT_MASK = 18, 8, (1 << 36) - 1


class Hour:
    """Open from its first sample on. While it is written it is hidden; what a crash leaves is made whole by `mend`."""

    def __init__(
        self, folder: Path, source: str, *, first_sample: int, start: datetime, rate: int, node: str
    ) -> None:
        """Begin a file.

        Raises:
            OSError: it cannot be made.
            soundfile.LibsndfileError: likewise.
        """
        start = start.astimezone(UTC)
        self._start = start
        self._rate = rate
        self._stem = _free_stem(folder, source, start)
        folder = self._stem.parent
        folder.mkdir(parents=True, exist_ok=True)
        self._part = folder / f".{self._stem.name}{SUFFIX}{PART}"
        self._said: dict[str, Any] = {
            "birdwatchd": __version__,
            "node": node,
            "recording": {
                "file": self._stem.name + SUFFIX,
                "source": source,
                "start": start.isoformat(timespec="milliseconds"),
                "sample_rate": rate,
                "first_sample": first_sample,
                "gaps": [],
                "silenced": [],
            },
        }
        self.frames = 0
        self._synced = 0
        self._is_told = True
        self._is_whole = True
        self._tell()
        try:
            self._sound = soundfile.SoundFile(
                self._part, "w", rate, channels=1, format="FLAC", subtype="PCM_16"
            )
        except BaseException:
            self._leave_nothing()
            raise

    @staticmethod
    def samples_left(start: datetime, rate: int) -> int:
        """From the sample at `start` to the next full hour."""
        next_hour = start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return max(1, math.ceil((next_hour - start).total_seconds() * rate))

    @property
    def size(self) -> int:
        """Bytes on the disk, so far."""
        return self._part.stat().st_size

    def holds(self, moment: datetime) -> bool:
        """Does a sample of that time belong into this file? A clock that was set back begins a new one."""
        moment = moment.astimezone(UTC)
        return moment >= self._start and moment.replace(
            minute=0, second=0, microsecond=0
        ) == self._start.replace(minute=0, second=0, microsecond=0)

    def write(self, samples: NDArray[np.float32]) -> None:
        """Append them.

        Raises:
            OSError: the disk is full.
            soundfile.LibsndfileError: likewise.
        """
        self._is_whole = False
        self._sound.write(to_pcm16(samples))
        self._is_whole = True
        self.frames += len(samples)
        if self.frames - self._synced >= SYNC_SECONDS * self._rate:
            self._synced = self.frames
            self._sound.flush()
            sync(self._part)
            if not self._is_told:
                self._tell()

    def tell_gap(self, seconds: float, cause: str) -> None:
        """Something is missing before what is written next."""
        self._said["recording"]["gaps"].append(
            {**self._place(0), "missing_seconds": round(seconds, 6), "cause": cause}
        )
        self._tell()

    def tell_silence(self, offset: int, samples: int, cause: str) -> None:
        """Of what is written next, so many samples from `offset` on were made silent: on the disk together with them."""
        self._is_told = False
        silenced = self._said["recording"]["silenced"]
        place = self._place(offset)
        if silenced and silenced[-1]["cause"] == cause:
            last = silenced[-1]
            if last["offset_samples"] + last["samples"] >= place["offset_samples"]:
                last["samples"] = max(
                    last["samples"], place["offset_samples"] + samples - last["offset_samples"]
                )
                return
        silenced.append({**place, "samples": samples, "cause": cause})

    def close(self) -> None:
        """Whole: renamed to what it is. Of one that cannot be closed as much as can be read is kept."""
        try:
            self._sound.close()
        except (OSError, soundfile.LibsndfileError):
            self._is_whole = False
        if not self.frames:
            self._leave_nothing()
            return
        # What cannot be done stays hidden, and is mended at the next start.
        with suppress(OSError, soundfile.LibsndfileError):
            if self._is_whole:
                sync(self._part)
                self._part.replace(self._stem.with_name(self._stem.name + SUFFIX))
            elif (place := rescue(self._part)) is not None:
                self.frames = soundfile.info(place).frames
        self._said["recording"]["samples"] = self.frames
        self._said["recording"]["seconds"] = round(self.frames / self._rate, 6)
        with suppress(OSError):
            self._tell()

    def _leave_nothing(self) -> None:
        for path in (self._part, self._stem.with_name(self._stem.name + SIDECAR)):
            with suppress(OSError):  # as on a card that has become read-only: retention takes it away one day
                path.unlink(missing_ok=True)

    def _place(self, offset: int) -> dict[str, float]:
        at = self.frames + offset
        return {"offset_samples": at, "offset_seconds": round(at / self._rate, 6)}

    def _tell(self) -> None:
        text = json.dumps(self._said, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        write_together(self._stem, {SIDECAR: text.encode()})
        self._is_told = True


def _free_stem(folder: Path, source: str, start: datetime) -> Path:
    """Where a file of that time goes. The same time may come again, when a clock is set back, or begins in 1970 each time."""
    while True:
        name = f"{source}_{start:%Y%m%dT%H%M%S}.{start.microsecond // 1000:03}Z"
        stem = folder / f"{start:%Y-%m-%d}" / name
        taken = (f"{name}{SUFFIX}", f"{name}{SIDECAR}", f".{name}{SUFFIX}{PART}")
        if not any(stem.with_name(one).exists() for one in taken):
            return stem
        start += timedelta(milliseconds=1)


def unfinished(folder: Path) -> list[Path]:
    """What is being written anywhere below `folder`, or was when somebody died.

    Raises:
        OSError: it cannot be looked through.
    """
    return sorted(folder.rglob(f".*{SUFFIX}{PART}"))


def mend(parts: Iterable[Path]) -> Iterator[Path]:
    """Make whole what was left unfinished; gives the files that were."""
    for part in parts:
        with suppress(OSError):
            whole = rescue(part)
            if whole is not None:
                yield whole


def rescue(part: Path) -> Path | None:
    """Make an unfinished file one that says how much sound it holds; None when that is nothing. Takes no room.

    Raises:
        OSError: it cannot be changed; it stays as it is.
    """
    frames = _readable(part)
    if not frames:
        part.unlink()
        return None
    with part.open("r+b") as file:
        file.seek(COUNT_AT)
        count = int.from_bytes(file.read(COUNT_BYTES), "big")
        file.seek(COUNT_AT)
        file.write(((count & ~COUNT_MASK) | frames).to_bytes(COUNT_BYTES, "big"))
    sync(part)
    return part.replace(part.with_name(part.name.removeprefix(".").removesuffix(PART)))


def _readable(part: Path) -> int:
    """How many samples of an unfinished file can be read."""
    frames = 0
    for step in (BLOCK, 1):  # the read that meets the end fails as a whole
        with suppress(soundfile.LibsndfileError), soundfile.SoundFile(part) as broken:
            for _ in range(frames // BLOCK):
                broken.read(BLOCK, dtype="int16")
            while len(block := broken.read(step, dtype="int16")):
                frames += len(block)
    return frames
