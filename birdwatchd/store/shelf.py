"""What lies in the clips folder: found again on the disk, with what its sidecars say of it."""

from __future__ import annotations

import heapq
import json
import math
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

SIDECAR = ".json"
PART = ".part"
MOST_BYTES = 1_000_000
"""Of a sidecar; ours have a few thousand."""
MARK = "birdwatchd"
"""What our sidecars hold: files beside no such sidecar are somebody else's, and never touched."""


@dataclass(frozen=True, slots=True)
class Item:
    """A clip with all its files, or an hour of continuous recording."""

    folder: str
    stem: str
    names: tuple[str, ...]
    """Of its files, in the folder: there are many items, and a Path for each would take their memory."""
    size: int
    written: float
    """Seconds since 1970: when the newest of its files was."""
    species: str
    """Scientific name; empty for a recording."""
    score: float
    reviewed: bool
    """Its JSON file says so: it has served."""
    judged: bool = False
    """Somebody has judged it on the page: it may be what a model is going to learn from."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Where they lie."""
        return tuple(Path(self.folder, name) for name in self.names)


@dataclass(frozen=True, slots=True)
class Contents:
    """All that lies there."""

    items: list[Item]
    size: int
    """Of all files, somebody else's too."""
    parts: list[tuple[Path, float]]
    """Hidden files that are, or were, being written, and when they were last."""
    alone: list[tuple[Path, Path]]
    """Sidecars of clips and pictures, each with the file that it describes, which is not there."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What a sidecar says, and of when it is."""

    written: int
    is_ours: bool
    species: str = ""
    score: float = 0.0
    reviewed: bool = False
    file: str = ""
    """The clip or picture that it describes."""


class Shelf:
    """Looks through the folder. Remembers what sidecars said, so that each is read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._said: dict[str, dict[str, _Said]] = {}
        """By folder and stem."""

    def look(self, judged: Collection[str] = ()) -> Contents:
        """Go through all of it. Files that vanish meanwhile are no trouble. `judged` are clip paths, as in detections."""
        items: list[Item] = []
        size = 0
        parts: list[tuple[Path, float]] = []
        alone: list[tuple[Path, Path]] = []
        said: dict[str, dict[str, _Said]] = {}
        for parent, _, _ in os.walk(self.folder):
            found = list(_files(parent))
            size += sum(status.st_size for _, status in found)
            parts += [
                (Path(parent, name), status.st_mtime)
                for name, status in found
                if name.startswith(".") and name.endswith(PART)
            ]
            sidecars = {
                name.removesuffix(SIDECAR): status for name, status in found if name.endswith(SIDECAR)
            }
            known = {stem: self._read(parent, stem, status) for stem, status in sidecars.items()}
            names = {name for name, _ in found}
            alone += [
                (Path(parent, stem + SIDECAR), Path(parent, one.file))
                for stem, one in known.items()
                if one.file and one.file not in names
            ]
            said[parent] = known
            groups: dict[str, list[tuple[str, os.stat_result]]] = {}
            for name, status in found:
                stem = _stem(name, known)
                if stem is not None and not name.endswith(PART):
                    groups.setdefault(stem, []).append((name, status))
            place = PurePath(parent).relative_to(self.folder)
            items += [
                _item(parent, stem, files, known[stem], judged=(place / stem).as_posix() in judged)
                for stem, files in groups.items()
                if known[stem].is_ours
            ]
        self._said = said
        return Contents(items, size, parts, alone)

    def _read(self, folder: str, stem: str, status: os.stat_result) -> _Said:
        earlier = self._said.get(folder, {}).get(stem)
        if earlier is not None and earlier.written == status.st_mtime_ns:
            return earlier
        try:
            path = Path(folder, stem + SIDECAR)
            told = json.loads(path.read_bytes()) if status.st_size <= MOST_BYTES else None
            if not isinstance(told, dict) or MARK not in told:
                return _Said(status.st_mtime_ns, is_ours=False)
            detection = told.get("detection") or {}
            score = float(detection.get("score", 0.0))
            described = told.get("clip") or told.get("picture") or {}
            return _Said(
                status.st_mtime_ns,
                is_ours=True,
                species=sys.intern(str(detection.get("scientific_name", ""))),
                score=score if math.isfinite(score) else 0.0,
                reviewed=told.get("reviewed") is True,
                file=Path(str(described.get("file", ""))).name,
            )
        except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return _Said(status.st_mtime_ns, is_ours=False)


def order(items: Iterable[Item]) -> Iterator[Item]:
    """In which order they give way: what is worth least comes first.

    Recordings go first, the oldest of them. Then clips whose JSON file says that they were reviewed, then the others, then
    those that were judged on the page; each time the worst of the species that has most clips left. The best of each species
    comes last of all, that of the commonest species first.
    """
    every = list(items)
    yield from sorted((item for item in every if not item.species), key=lambda item: item.written)
    by_species: dict[str, list[Item]] = {}
    for item in every:
        if item.species:
            by_species.setdefault(item.species, []).append(item)
    for clips in by_species.values():
        clips.sort(key=lambda item: (item.score, item.written))
    best = sorted((clips.pop() for clips in by_species.values()), key=lambda item: (item.score, item.written))
    common = {species: len(clips) + 1 for species, clips in by_species.items()}
    counts = dict(common)
    for worth in range(3):
        yield from _in_turn(
            {
                species: [item for item in clips if _worth(item) == worth]
                for species, clips in by_species.items()
            },
            counts,
        )
    yield from sorted(best, key=lambda item: (not item.reviewed, -common[item.species], item.score))


def _worth(item: Item) -> int:
    return 2 if item.judged else 0 if item.reviewed else 1


def _in_turn(waiting: dict[str, list[Item]], counts: dict[str, int]) -> Iterator[Item]:
    """The worst of the species that has most, until none is left; `counts` goes down as they go."""
    at = dict.fromkeys(waiting, 0)
    heap = [(-counts[species], species) for species, items in waiting.items() if items]
    heapq.heapify(heap)
    while heap:
        _, species = heapq.heappop(heap)
        yield waiting[species][at[species]]
        at[species] += 1
        counts[species] -= 1
        if at[species] < len(waiting[species]):
            heapq.heappush(heap, (-counts[species], species))


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_file(follow_symlinks=False):
                        yield entry.name, entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # it is gone
    except OSError:
        return


def _stem(name: str, stems: dict[str, _Said]) -> str | None:
    """The clip that a file belongs to: the longest name that is known, or else that which a picture of it is called by."""
    for end in reversed([found.start() for found in re.finditer(r"[.\-_]", name)]):
        if name[:end] in stems:
            whole, _, number = name[:end].rpartition("_")
            return whole if number.isdecimal() and whole in stems else name[:end]
    return None


def _item(
    parent: str, stem: str, files: list[tuple[str, os.stat_result]], said: _Said, *, judged: bool
) -> Item:
    return Item(
        folder=parent,
        stem=stem,
        names=tuple(name for name, _ in files),
        size=sum(status.st_size for _, status in files),
        written=max(status.st_mtime for _, status in files),
        species=said.species,
        score=said.score,
        reviewed=said.reviewed,
        judged=judged,
    )
