"""Decoded sound, kept: each file is decoded and resampled once, and then lies in memory-mapped 16-bit samples.

A cached sound is a file named by the content of its origin and the rate: 16 bytes of header (a mark, the scale as
float32, the number of samples as int64), then int16 samples. The scale makes the loudest sample full scale, so that
quiet recordings lose nothing.
"""

from __future__ import annotations

import functools
import hashlib
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import platformdirs
import soxr

from birdwatchd.audio.decoding import open_sound
from birdwatchd.audio.mix import mix
from birdwatchd.errors import RecordingError, UserError
from birdwatchd.on_disk import whole
from train.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from birdwatchd.audio.decoding import Sound

HEADER = struct.Struct("<4sfq")
MARK = b"bwc1"
BLOCK_SECONDS = 10.0


def cache_folder() -> Path:
    """Where decoded sound and embeddings are kept by default. It may be deleted at any time."""
    return platformdirs.user_cache_path("birdwatchd") / "train"


class SoundCache:
    """Sounds at one rate, in one folder."""

    def __init__(self, folder: Path, sample_rate: int) -> None:
        self.folder = folder
        self.sample_rate = sample_rate

    def add(self, path: Path) -> str:
        """The key of the sound at `path`, decoded now unless it has been before. Threads may call it at once.

        Raises:
            RecordingError: it cannot be read as sound, or holds none.
            UserError: the cache cannot be written.
        """
        key = f"{content_of(path)}-{self.sample_rate}"
        if not _is_whole(self.folder / key):
            self._write(key, decode(path, self.sample_rate))
        return key

    def length(self, key: str) -> int:
        """Samples in the sound."""
        return len(_mapped(self.folder / key)[1])

    def read(self, key: str, start: int, stop: int) -> NDArray[np.float32]:
        """Samples `start` to `stop` (which may lie beyond its end) in [-1, 1], float32."""
        scale, samples = _mapped(self.folder / key)
        return samples[start:stop] * np.float32(scale)

    def read_into(self, target: NDArray[np.float32], key: str, start: int) -> None:
        """Fill `target` with the samples from `start` on, all of which there must be."""
        scale, samples = _mapped(self.folder / key)
        np.multiply(samples[start : start + len(target)], np.float32(scale), out=target)

    def _write(self, key: str, samples: NDArray[np.float32]) -> None:
        scale = float(np.abs(samples).max(initial=0.0)) / 32767 or 1.0
        content = np.round(samples / scale).astype("<i2")
        with kept_at(self.folder / key) as file:
            file.write(HEADER.pack(MARK, scale, len(content)))
            file.write(content.data)


@contextmanager
def kept_at(path: Path) -> Iterator[BinaryIO]:
    """A file of the cache to write, whole or not at all; whoever reads it looks whether a power cut has cut it.

    Raises:
        UserError: it cannot be written.
    """
    try:
        with whole(path, lasting=False) as file:
            yield file
    except OSError as error:
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"the cache {path.parent} cannot be written ({error.strerror or error}): make room or name another with --cache"
        ) from error


def content_of(path: Path) -> str:
    """The digest of the file at `path`, in hexadecimal: what its sound is known by, wherever it lies.

    Raises:
        RecordingError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise RecordingError(f"{path} cannot be read ({error.strerror or error})") from error


def decode(path: Path, sample_rate: int) -> NDArray[np.float32]:
    """The whole sound at `path`, its channels mixed to one, at `sample_rate`: float32 (n,).

    Raises:
        RecordingError: it cannot be read as sound, is damaged, or holds none.
    """
    with open_sound(path) as sound:
        blocks = [mix(block) for block in sound.blocks(BLOCK_SECONDS)]
        refuse_damaged(path, sound)
        if not sum(len(block) for block in blocks):
            raise RecordingError(f"{path} holds no sound: leave it out")
        samples: NDArray[np.float32] = np.concatenate(blocks)
        if sound.sample_rate != sample_rate:
            samples = soxr.resample(samples, sound.sample_rate, sample_rate, quality="HQ")
    return samples


def refuse_damaged(path: Path, sound: Sound) -> None:
    """What is damaged is neither listed, learnt from nor judged by, as far as it could be read. Ask after the last block.

    Raises:
        RecordingError: it is.
    """
    if fault := damage(path, sound.complaint):
        raise RecordingError(fault)


def damage(path: Path, complaint: str) -> str:
    """The sentence for a file that is damaged; empty for one that is not, or is only cut off."""
    return f"{path} is {complaint}: leave it out, or copy it again" if complaint.startswith("damaged") else ""


def _is_whole(path: Path) -> bool:
    """Whether it is there, and neither empty nor cut."""
    try:
        with path.open("rb") as file:
            header = file.read(HEADER.size)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return False
    if len(header) < HEADER.size:
        return False
    mark, _, count = HEADER.unpack(header)
    return bool(mark == MARK and size == HEADER.size + 2 * count)


@functools.lru_cache(maxsize=4096)
def _mapped(path: Path) -> tuple[float, NDArray[np.int16]]:
    """Scale and samples. Few enough are kept open for the system's limit on maps (65,530)."""
    with path.open("rb") as file:
        _, scale, count = HEADER.unpack(file.read(HEADER.size))
    if not count:
        return scale, np.empty(0, dtype=np.int16)
    return scale, np.memmap(path, dtype="<i2", mode="r", offset=HEADER.size, shape=(count,))
