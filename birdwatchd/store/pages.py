"""Rows as they lie in the pages of an SQLite file, read without SQLite: also where its header or its trees are damaged.

The format is SQLite's own description of it, https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path
    from typing import BinaryIO

Value = str | int | float | bytes | None

_MAGIC = b"SQLite format 3\0"
_USUAL_PAGE = 4096
_SIZES = {1 << power for power in range(9, 17)}
_LEAF, _INDEX_LEAF, _INDEX_NODE = 0x0D, 0x0A, 0x02
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Bytes of an integer, by its serial type."""
_TEXT = 13
"""The least serial type of a text."""
_LONGER = 4
"""Values that no index of ours has."""
_BIGGEST = 16 * 1024 * 1024
"""Bytes of a row: what claims to be more is no row."""


class Pages:
    """A file and its log, page by page. A context manager."""

    def __init__(self, path: Path) -> None:
        """Open them for reading.

        Raises:
            OSError: they cannot be read.
        """
        self._file = path.open("rb")
        head = self._file.read(100)
        size = int.from_bytes(head[16:18], "big") if head.startswith(_MAGIC) else _USUAL_PAGE
        size = 65536 if size == 1 else size
        self.size = size if size in _SIZES else _USUAL_PAGE
        self._count = -(-path.stat().st_size // self.size)
        log = path.with_name(path.name + "-wal")
        self._log: BinaryIO | None = log.open("rb") if log.exists() else None
        self._newer = dict(self._in_log()) if self._log is not None else {}
        self._count = max([self._count, *self._newer])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        if self._log is not None:
            self._log.close()

    def __len__(self) -> int:
        return self._count

    def page(self, number: int) -> bytes:
        """The page of that number, counted from 1; short, or empty, where the file is."""
        offset = self._newer.get(number)
        if offset is not None and self._log is not None:
            self._log.seek(offset)
            return self._log.read(self.size)
        self._file.seek((number - 1) * self.size)
        return self._file.read(self.size)

    def _in_log(self) -> Iterator[tuple[int, int]]:
        """Pages that the log has, and where: up to its last commit, as far as it belongs together."""
        assert self._log is not None  # noqa: S101 - asked for only then
        head = self._log.read(32)
        held: list[tuple[int, int]] = []
        offset = 32
        while len(frame := self._log.read(24)) == 24:  # noqa: PLR2004 - a frame's own header
            number, commit = struct.unpack(">II", frame[:8])
            end = self._log.seek(0, os.SEEK_END)
            if frame[8:16] != head[16:24] or not 0 < number < 1 << 31 or offset + 24 + self.size > end:
                return  # from an earlier round of the log, or torn
            held.append((number, offset + 24))
            if commit:
                yield from held
                held = []
            offset += 24 + self.size
            self._log.seek(offset)


Row = tuple[int | None, list[Value]]
"""Its place in its table (None: it has none), and its values."""


def rows(
    pages: Pages, shapes: Container[tuple[int, bool]], first: int = 1
) -> Iterator[tuple[int, list[Row]]]:
    """Every page from the `first` on by its number, with every row that it has.

    Only those of `shapes`: so many values, with a place or without. Entries of an index look like rows of a table without
    places, and some are given as well.

    What cannot be understood is left out. Pages that are not in use any more are gone through too: a row may come twice,
    in an older state.
    """
    for number in range(first, len(pages) + 1):
        yield number, list(_rows(pages, number, shapes))


def _rows(pages: Pages, number: int, shapes: Container[tuple[int, bool]]) -> Iterator[Row]:
    page = pages.page(number)
    start = 100 if number == 1 else 0
    if len(page) < start + 8 or page[start] not in (_LEAF, _INDEX_LEAF, _INDEX_NODE):
        return
    kind = page[start]
    first = start + (12 if kind == _INDEX_NODE else 8)
    for cell in range(int.from_bytes(page[start + 3 : start + 5], "big")):
        at = first + 2 * cell
        try:
            (pointer,) = struct.unpack_from(">H", page, at)
            yield _row(pages, page, pointer, kind, shapes)
        except (struct.error, ValueError, IndexError):
            continue


def _row(pages: Pages, page: bytes, at: int, kind: int, shapes: Container[tuple[int, bool]]) -> Row:
    if kind == _INDEX_NODE:
        at += 4
    length, at = _varint(page, at)
    place: int | None = None
    if kind == _LEAF:
        place, at = _varint(page, at)
    if not 0 < length < _BIGGEST:
        raise ValueError(length)
    return place, _values(_payload(pages, page, at, length, kind), shapes, has_place=kind == _LEAF)


def _payload(pages: Pages, page: bytes, at: int, length: int, kind: int) -> bytes:
    """All of a row: its beginning, and what lies on pages of its own."""
    usable = pages.size
    most = usable - 35 if kind == _LEAF else (usable - 12) * 64 // 255 - 23
    if length <= most:
        return page[at : at + length]
    least = (usable - 12) * 32 // 255 - 23
    here = least + (length - least) % (usable - 4)
    here = here if here <= most else least
    content = bytearray(page[at : at + here])
    following = int.from_bytes(page[at + here : at + here + 4], "big")
    while len(content) < length:
        more = pages.page(following) if 0 < following <= len(pages) else b""
        if len(more) < usable:
            raise ValueError("its end is missing")
        content += more[4:]
        following = int.from_bytes(more[:4], "big")
    return bytes(content[:length])


def _values(payload: bytes, shapes: Container[tuple[int, bool]], *, has_place: bool) -> list[Value]:
    head, at = _varint(payload, 0)
    if not 0 < head <= len(payload):
        raise ValueError(head)
    kinds = []
    while at < head:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    # An index's entry ends with the place of its row, an integer.
    if (len(kinds), has_place) not in shapes or (
        not has_place and len(kinds) < _LONGER and kinds[-1] < _TEXT
    ):
        raise ValueError("it is of nothing that is looked for")
    values: list[Value] = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    if at != len(payload):
        raise ValueError("it is of another length than it says")
    return values


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind in _INTEGERS:
        end = at + _INTEGERS[kind]
        return int.from_bytes(payload[at:end], "big", signed=True), end
    if kind == 7:  # noqa: PLR2004 - a double
        return float(struct.unpack_from(">d", payload, at)[0]), at + 8
    if kind < 12:  # noqa: PLR2004 - kept for later
        raise ValueError(kind)
    end = at + (kind - 12) // 2
    return (payload[at:end].decode() if kind % 2 else payload[at:end]), end


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """An integer of one to nine bytes, and where the next thing is."""
    number = 0
    for _ in range(8):
        byte = content[at]
        at += 1
        number = number << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004 - the last
            return number, at
    return number << 8 | content[at], at + 1
