"""From what sources gave to what may be learned from: spelling, duplicates, and clips that are of no use."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from birdwatchd.errors import UserError
from train.census import in_order
from train.manifest import tidy, to_label
from train.parts import count_clips, count_recordings, part_of, torn
from train.splitting import NOTHING, group_of, species_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from train.inspection import Inspected
    from train.manifest import Row

FEW_CLIPS = 20
"""A class with fewer is likely to be learned badly."""
_UNDERSCORED = re.compile(r"[A-Z][a-z]+(?:_[a-z-]+){1,2}")
"""A species' scientific name as folders are called."""


@dataclass(slots=True)
class Sifted:
    """What is left, and what was left out and why."""

    clips: list[Inspected] = field(default_factory=list)
    unreadable: list[Inspected] = field(default_factory=list)
    too_short: list[Inspected] = field(default_factory=list)
    silent: list[Inspected] = field(default_factory=list)
    duplicates: list[tuple[Inspected, Inspected]] = field(default_factory=list)
    """Each with the one that is kept."""
    contradictory: list[tuple[Inspected, Inspected]] = field(default_factory=list)
    """The same sound with other labels: neither is kept."""


def spell_alike(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows with one spelling for labels that differ by case or spaces only, and what was changed, a sentence each.

    The spelling that most rows have is taken, one with a common name before one without.
    """
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        spellings_of_row = [_readable(name) for name in row.labels]
        for name in spellings_of_row:
            spellings[_key(name)][name] += 1
    chosen: dict[str, str] = {}
    notes = []
    for key, counts in spellings.items():
        chosen[key] = max(counts, key=lambda name: (_has_common_name(name), counts[name], name))
        species = sorted({to_label(0, name).scientific_name for name in counts})
        if len(species) > 1:
            names = " and ".join(repr(name) for name in species)
            notes.append(f"{names} differ by case or spaces only: all are {chosen[key]!r}")
    alike = [
        replace(row, labels=tuple(dict.fromkeys(chosen[_key(_readable(name))] for name in row.labels)))
        for row in rows
    ]
    return alike, notes


def take_as_nothing(rows: Sequence[Row], patterns: Sequence[str]) -> list[Row]:
    """The rows without the labels that fit one of the patterns (`background*`), in any case.

    Raises:
        UserError: a pattern fits no label.
    """
    names = {name for row in rows for name in row.labels}
    nothing = set()
    for pattern in patterns:
        plain = tidy(pattern).casefold().replace("_", " ")
        fitting = {name for name in names if fnmatch.fnmatchcase(name.casefold().replace("_", " "), plain)}
        if not fitting:
            raise UserError(f"--negative {pattern!r} fits no label: there is {', '.join(sorted(names))}")
        nothing |= fitting
    return [replace(row, labels=tuple(name for name in row.labels if name not in nothing)) for row in rows]


def join_same(rows: Iterable[Row]) -> list[Row]:
    """The rows, those of the same stretch of the same file joined into one with all their labels."""
    joined: dict[tuple[object, ...], Row] = {}
    for row in rows:
        key = (row.path.resolve(), row.start, row.end)
        known = joined.get(key)
        joined[key] = (
            row
            if known is None
            else replace(known, labels=tuple(dict.fromkeys((*known.labels, *row.labels))))
        )
    return list(joined.values())


def sift(inspected: Sequence[Inspected], *, min_seconds: float) -> Sifted:
    """Leave out what cannot be read, is too short, has a label but no sound, or was there before."""
    sifted = Sifted()
    first: dict[str, Inspected] = {}
    contradicted = set()
    for one in inspected:
        if one.failure:
            sifted.unreadable.append(one)
        elif one.seconds < min_seconds - 1 / one.sample_rate:
            sifted.too_short.append(one)
        elif one.row.labels and one.is_silent:
            sifted.silent.append(one)
        elif (known := first.setdefault(one.digest, one)) is one:
            sifted.clips.append(one)
        elif set(species_of(known.row)) == set(species_of(one.row)):
            sifted.duplicates.append((one, known))
        else:
            sifted.contradictory.append((one, known))
            contradicted.add(one.digest)
    sifted.clips = [one for one in sifted.clips if one.digest not in contradicted]
    return sifted


def warnings(clips: Sequence[Inspected]) -> list[str]:
    """What makes a good model, or an honest judgement of it, unlikely; a sentence each."""
    classes: dict[str, list[Inspected]] = defaultdict(list)
    for one in clips:
        for species in species_of(one.row):
            classes[species].append(one)
    parts = in_order({part_of(one.row) for one in clips})
    named = sorted(classes.keys() - {NOTHING})
    said = []
    if len(named) == 1 and NOTHING not in classes:
        said.append(
            f"there is one class only, {named[0]!r}, and nothing without it, so there is nothing to tell it from: add "
            "recordings of other sounds, or of places where it is not heard (--negative)"
        )
    for species in named:
        its = classes[species]
        groups = {group_of(one.row) for one in its}
        missing = [part for part in parts if part not in {part_of(one.row) for one in its}]
        clipped = sum(one.is_clipped for one in its)
        if len(its) < FEW_CLIPS:
            said.append(f"{species!r} has {count_clips(len(its))}: {FEW_CLIPS} or more are wanted")
        if missing:
            said.append(
                f"{species!r} is not in {', '.join(missing)}: it comes from {count_recordings(len(groups))}, and pieces "
                "of one recording stay together"
            )
        if clipped:
            said.append(f"{species!r}: {count_clips(clipped)} with peaks cut off; record with less gain")
    said += torn(one.row for one in clips)
    return said


def _readable(name: str) -> str:
    """`Parus_major` as `Parus major`; the rest as it is, without needless spaces."""
    name = tidy(name)
    return name.replace("_", " ") if _UNDERSCORED.fullmatch(name) else name


def _key(name: str) -> str:
    return tidy(to_label(0, name).scientific_name.replace("_", " ")).casefold()


def _has_common_name(name: str) -> bool:
    label = to_label(0, name)
    return label.common_name != label.scientific_name
