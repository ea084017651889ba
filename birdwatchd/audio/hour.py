"""One file of a continuous recording: at most an hour of one source, FLAC, with a sidecar that tells what is missing in it."""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import soundfile

from birdwatchd import __version__
from birdwatchd.actions.clip_files import PART, write_together
from birdwatchd.actions.clip_sound import to_pcm16

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

SUFFIX, SIDECAR = ".flac", ".json"
SYNC_SECONDS = 60.0
"""A power cut loses so much at most; oftener would wear out a memory card."""
BLOCK = 4096
"""What libsndfile encodes at once: a file that was cut off is whole up to its last block."""


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
        milliseconds = start.microsecond // 1000
        self._start = start
        self._rate = rate
        folder = folder / f"{start:%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        self._stem = folder / f"{source}_{start:%Y%m%dT%H%M%S}.{milliseconds:03}Z"
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
        self._tell()
        self._sound = soundfile.SoundFile(self._part, "w", rate, channels=1, format="FLAC", subtype="PCM_16")

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
        self._sound.write(to_pcm16(samples))
        self.frames += len(samples)
        if self.frames - self._synced >= SYNC_SECONDS * self._rate:
            self._synced = self.frames
            self._sound.flush()
            _sync(self._part)

    def tell_gap(self, seconds: float, cause: str) -> None:
        """Something is missing before what is written next."""
        self._said["recording"]["gaps"].append(
            {**self._place(0), "missing_seconds": round(seconds, 6), "cause": cause}
        )
        self._tell()

    def tell_silence(self, offset: int, samples: int, cause: str) -> None:
        """Of what is written next, so many samples from `offset` on were made silent."""
        silenced = self._said["recording"]["silenced"]
        place = self._place(offset)
        if silenced and silenced[-1]["cause"] == cause:
            last = silenced[-1]
            if last["offset_samples"] + last["samples"] >= place["offset_samples"]:
                last["samples"] = max(
                    last["samples"], place["offset_samples"] + samples - last["offset_samples"]
                )
                self._tell()
                return
        silenced.append({**place, "samples": samples, "cause": cause})
        self._tell()

    def close(self) -> None:
        """Whole: renamed to what it is. Of one that cannot be closed as much as can be read is kept."""
        try:
            self._sound.close()
            _sync(self._part)
            self._part.replace(self._stem.with_name(self._stem.name + SUFFIX))
        except (OSError, soundfile.LibsndfileError):
            with suppress(OSError):
                rescue(self._part)
        self._said["recording"]["samples"] = self.frames
        self._said["recording"]["seconds"] = round(self.frames / self._rate, 6)
        with suppress(OSError):
            self._tell()

    def _place(self, offset: int) -> dict[str, float]:
        at = self.frames + offset
        return {"offset_samples": at, "offset_seconds": round(at / self._rate, 6)}

    def _tell(self) -> None:
        text = json.dumps(self._said, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        write_together(self._stem, {SIDECAR: text.encode()})


def mend(folder: Path) -> Iterator[Path]:
    """Make whole what a crash left in `folder`; gives the files that were."""
    for part in sorted(folder.glob(f"*/*/.*{SUFFIX}{PART}")):
        with suppress(OSError):
            whole = rescue(part)
            if whole is not None:
                yield whole


def rescue(part: Path) -> Path | None:
    """Make a file of what can be read of an unfinished one; None when that is nothing.

    Raises:
        OSError: it cannot be written; the unfinished one stays.
    """
    place = part.with_name(part.name.removeprefix(".").removesuffix(PART))
    copy = part.with_name(f".{place.name}.mended{PART}")
    frames = 0
    try:
        with (
            suppress(soundfile.LibsndfileError),
            soundfile.SoundFile(part) as broken,
            soundfile.SoundFile(
                copy, "w", broken.samplerate, channels=1, format="FLAC", subtype="PCM_16"
            ) as whole,
        ):
            while len(block := broken.read(BLOCK, dtype="int16")):
                whole.write(block)
                frames += len(block)
        if frames:
            _sync(copy)
            copy.replace(place)
        part.unlink()
    finally:
        copy.unlink(missing_ok=True)
    return place if frames else None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
