"""In which split or fold each row stands: as its source says, or dealt out anew."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from birdwatchd.errors import UserError
from train.manifest import SPLITS
from train.splitting import deal, group_of, recordings_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from train.manifest import Row

FRACTIONS = (0.7, 0.15, 0.15)
"""Of train, validation and test, where nothing else is said."""
MOST_NAMED = 5
"""Recordings in a sentence."""


def split(rows: Sequence[Row], fractions: Sequence[float], *, seed: int) -> list[Row]:
    """The rows, each in train, validation or test, by the three fractions.

    Raises:
        UserError: a part that is asked for would stay empty.
    """
    shares = {name: share for name, share in zip(SPLITS, fractions, strict=True) if share > 0}
    parts = deal(rows, shares, seed=seed)
    _refuse_empty(shares, parts, rows)
    return [replace(row, split=part) for row, part in zip(rows, parts, strict=True)]


def fold(rows: Sequence[Row], count: int, *, seed: int) -> list[Row]:
    """The rows, each in one of `count` folds, from 1, and in no split.

    Raises:
        UserError: a fold would stay empty.
    """
    shares = {str(number): 1 / count for number in range(1, count + 1)}
    parts = deal(rows, shares, seed=seed)
    _refuse_empty(shares, parts, rows)
    return [replace(row, fold=int(part), split="") for row, part in zip(rows, parts, strict=True)]


def keep(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """The rows in the folds or splits that they have; those without are dealt out over the same ones.

    Raises:
        UserError: no row has any, and there are too few recordings for the three splits.
    """
    loose = [row for row in rows if not part_of(row)]
    if len(loose) == len(rows):
        return split(rows, FRACTIONS, seed=seed)
    if not loose:
        return list(rows)
    folds = sorted({row.fold for row in rows if row.fold is not None})
    shares = {str(number): 1 / len(folds) for number in folds} or dict(zip(SPLITS, FRACTIONS, strict=True))
    names = recordings_of(rows)
    known = {name: row for name, row in zip(names, rows, strict=True) if part_of(row)}
    parts = iter(deal(loose, shares, seed=seed))
    placed = []
    for name, row in zip(names, rows, strict=True):
        if part_of(row):
            placed.append(row)
            continue
        part = next(parts)
        kin = known.get(name)
        if kin is not None:
            placed.append(replace(row, fold=kin.fold, split=kin.split))
        elif folds:
            placed.append(replace(row, fold=int(part)))
        else:
            placed.append(replace(row, split=part))
    return placed


def part_of(row: Row) -> str:
    """The row's split, else its fold, in a word."""
    return row.split or ("" if row.fold is None else f"fold {row.fold}")


def torn(rows: Iterable[Row]) -> list[str]:
    """That groups, or stretches of one file, stand in more than one part: a sentence, if there are any."""
    parts: dict[str, set[str]] = defaultdict(set)
    groups: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for name in {group_of(row), str(row.path)}:
            parts[name].add(part_of(row))
            groups[name].add(group_of(row))
    names = sorted(name for name, its in parts.items() if len(its) > 1)
    # A file is not named beside the group that it is of.
    names = [name for name in names if groups[name] == {name} or groups[name].isdisjoint(names)]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    named = f"{', '.join(names[:MOST_NAMED])}{more}"
    said = f"pieces of one recording stand in several parts, so that a test measures memory: {named}"
    return [said] if names else []


def count_clips(count: int) -> str:
    """`one clip`, `3 clips`."""
    return "one clip" if count == 1 else f"{count} clips"


def count_recordings(count: int) -> str:
    """`one recording`, `3 recordings`: a group is one."""
    return "one recording" if count == 1 else f"{count} recordings"


def _refuse_empty(shares: Iterable[str], parts: Sequence[str], rows: Sequence[Row]) -> None:
    missing = [name for name in shares if name not in parts]
    if missing:
        part = f"fold {missing[0]}" if missing[0].isdecimal() else repr(missing[0])
        groups = len({group_of(row) for row in rows})
        raise UserError(
            f"nothing is left for {part}: {count_clips(len(rows))} come from {count_recordings(groups)}, and "
            "pieces of one recording stay together; add recordings, or ask for fewer parts"
        )
