"""Groups of clips dealt out so that every part has its share of every label.

A group (one recording, one recordist) is never divided: pieces of one recording on both sides of a split measure
memory, not hearing. The rarest label is dealt first, as in iterative stratification (Sechidis, Tsoumakas and Vlahavas,
2011): each part gets one group of it while there are any, and what is left goes where it mends most.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from train.manifest import to_label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from train.manifest import Row

NOTHING = ""
"""Stands for the label of rows without one: they are dealt out evenly too."""


def group_of(row: Row) -> str:
    """What the row is never parted from; stretches of one file belong together in any case."""
    return row.group or str(row.path)


def species_of(row: Row) -> tuple[str, ...]:
    """The keys of the row's labels; `NOTHING` when it has none."""
    return tuple(to_label(0, name).scientific_name for name in row.labels) or (NOTHING,)


def deal(rows: Sequence[Row], shares: Mapping[str, float], *, seed: int = 0) -> list[str]:
    """The part of each row: one of the keys of `shares`, whose values add up to 1.

    The same rows, in any order, with the same seed, are dealt in the same way.
    """
    groups = _groups(rows)
    names = sorted(groups)
    random.Random(seed).shuffle(names)  # noqa: S311 - it shall be the same again
    totals: Counter[str] = Counter()
    holders: dict[str, list[str]] = defaultdict(list)
    for name in names:
        totals.update(groups[name])
        for label in groups[name]:
            holders[label].append(name)
    wanted = {
        part: {label: share * count for label, count in totals.items()} for part, share in shares.items()
    }
    have: dict[str, Counter[str]] = {part: Counter() for part in shares}
    place: dict[str, str] = {}

    def put(name: str, part: str) -> None:
        place[name] = part
        have[part].update(groups[name])

    for label in sorted(holders, key=lambda label: (len(holders[label]), label)):
        for part in shares:
            free = [name for name in holders[label] if name not in place]
            if free and not have[part][label] and shares[part]:
                put(min(free, key=lambda name: abs(groups[name][label] - wanted[part][label])), part)
    for name in sorted(names, key=lambda name: -groups[name].total()):
        if name not in place:
            put(name, min(shares, key=lambda part: _worse(groups[name], have[part], wanted[part])))
    return [place[name] for name in recordings_of(rows)]


def _worse(counts: Counter[str], have: Counter[str], wanted: Mapping[str, float]) -> float:
    """By how much a part gets further from what it should have, in units of chi-square; negative when nearer."""
    return sum(
        count * (2 * (have[label] - wanted[label]) + count) / wanted[label] if wanted[label] else float("inf")
        for label, count in counts.items()
    )


def recordings_of(rows: Sequence[Row]) -> list[str]:
    """What each row is never parted from: its group; where groups share a file, they are one."""
    first: dict[str, str] = {}
    for row in rows:
        # A file that was listed in two groups ties them together.
        _join(first, group_of(row), f"file\0{row.path}")
    return [_root(first, group_of(row)) for row in rows]


def _root(parents: dict[str, str], name: str) -> str:
    while parents.setdefault(name, name) != name:
        name = parents[name]
    return name


def _join(parents: dict[str, str], one: str, other: str) -> None:
    first, second = sorted((_root(parents, one), _root(parents, other)))
    parents[second] = first


def _groups(rows: Sequence[Row]) -> dict[str, Counter[str]]:
    """How many rows of each label each group has."""
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for name, row in zip(recordings_of(rows), rows, strict=True):
        groups[name].update(species_of(row))
    return dict(groups)
