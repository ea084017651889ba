"""Which species somebody means who types a few letters."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from birdwatchd.domain import Label


def search(labels: Iterable[Label], text: str, limit: int) -> list[Label]:
    """The labels that fit best: names that begin so, then names with a word that does, then names with it inside.

    Common and scientific names and codes count, upper and lower case and accents do not. All words have to fit.
    """
    words = _plain(text).split()
    if not words:
        return []
    found = []
    for label in labels:
        names = [_plain(name) for name in (label.common_name, label.scientific_name, label.code)]
        ranks = [rank for name in names if (rank := _rank(name, words)) is not None]
        if ranks:
            found.append((min(ranks), len(label.common_name), label.common_name, label))
    return [label for *_, label in sorted(found, key=lambda one: one[:3])[:limit]]


def named(labels: Iterable[Label], text: str) -> Label | None:
    """The label of just that name, common, scientific, or `Scientific name_Common name`."""
    wanted = _plain(text)
    for label in labels:
        scientific, common = _plain(label.scientific_name), _plain(label.common_name)
        if wanted in (scientific, common, _plain(f"{label.scientific_name}_{label.common_name}")):
            return label
    return None


def _rank(name: str, words: list[str]) -> int | None:
    """The smaller the better; None when it does not fit."""
    if not all(word in name for word in words):
        return None
    if name.startswith(" ".join(words)):
        return 0
    beginnings = [part for part in name.split() if part]
    if all(any(part.startswith(word) for part in beginnings) for word in words):
        return 1
    return 2


def _plain(text: str) -> str:
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return re.sub(r"[\s_'\u2019-]+", " ", bare.casefold()).strip()
