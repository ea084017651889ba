"""How the config names species: scientific or common names, in any case, `*` standing for anything."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from birdwatchd.domain import Label


def matches(pattern: str, label: Label) -> bool:
    """Whether the pattern means this label.

    It is held against the scientific name, the common name, and `Scientific name_Common name`, the form of the
    species lists that are passed around for BirdNET. Case does not count, `*` stands for any characters or none.
    """
    pieces = _plain(pattern).split("*")
    scientific, common = _plain(label.scientific_name), _plain(label.common_name)
    both = f"{scientific}_{common}" if "_" in pattern else common
    return _fits(pieces, scientific) or _fits(pieces, common) or _fits(pieces, both)


def _plain(name: str) -> str:
    # Editors differ in how they write an umlaut: as one character or as two.
    return name.lower().strip() if name.isascii() else unicodedata.normalize("NFC", name).casefold().strip()


def _fits(pieces: list[str], name: str) -> bool:
    # By hand, and not as a regular expression: many `*` in one pattern would make that one run for ever.
    if len(pieces) == 1:
        return pieces[0] == name
    first, *middle, last = pieces
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    position, end = len(first), len(name) - len(last)
    for piece in middle:
        found = name.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True
