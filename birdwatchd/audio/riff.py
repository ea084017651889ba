"""What a WAV file says beside its sound: comments, and how much sound its header promises."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LARGEST_COMMENT = 65_536
_MOST_CHUNKS = 1_000
_UNKNOWN = (0, 0xFFFFFFFF)  # sizes that recorders leave behind when they stream or are cut off


@dataclass(frozen=True, slots=True)
class Riff:
    """The chunks of one WAV file that are not sound. Texts are empty when absent."""

    comment: str = ""
    """The comment of its INFO list, where AudioMoth writes."""
    guano: str = ""
    """The `guan` chunk: lines of `Key: Value`."""
    missing_share: float = 0.0
    """Share of the sound that the header promises and the file lacks, 0 to 1."""


def read_riff(path: Path) -> Riff:
    """Read the small chunks of a WAV file; an empty `Riff` when it is none. Never fails on what a file contains.

    Raises:
        OSError: the file cannot be read at all.
    """
    comment = guano = ""
    missing_share = 0.0
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        header = file.read(12)
        if header[:4] not in (b"RIFF", b"RF64") or header[8:12] != b"WAVE":
            return Riff()
        for name, size, start in _chunks(file, end):
            if name == b"data" and size not in _UNKNOWN and header[:4] == b"RIFF":
                missing_share = max(0.0, 1 - (end - start) / size)
            elif name == b"guan":
                guano = _text(file, size)
            elif name == b"LIST" and file.read(4) == b"INFO":
                stop = min(start + size, end)
                comment = next(
                    (_text(file, size) for name, size, _ in _chunks(file, stop) if name == b"ICMT"), comment
                )
    return Riff(comment, guano, missing_share)


def _chunks(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, size and start of each chunk up to `end`, the file standing at its start."""
    for _ in range(_MOST_CHUNKS):
        header = file.read(8)
        start = file.tell()
        if len(header) < 8 or start > end:  # noqa: PLR2004 - a chunk's header
            return
        name, size = struct.unpack("<4sI", header)
        yield name, size, start
        file.seek(start + size + size % 2)


def _text(file: BinaryIO, size: int) -> str:
    return file.read(min(size, _LARGEST_COMMENT)).decode("utf-8", "replace").strip("\0 \t\r\n")
