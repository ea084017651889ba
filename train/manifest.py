"""The manifest: which stretch of which file holds what. Every command of `train` reads or writes it.

A CSV file with the columns `path,labels,start,end,group,fold,split`; only `path` and `labels` must be there. Several
labels are joined by `;`, and none means that nothing is to be heard. A path that is not absolute counts from the
manifest's folder.
"""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from birdwatchd.config.plain import plain
from birdwatchd.domain import Label
from birdwatchd.errors import UserError
from birdwatchd.model.bundle import is_name
from birdwatchd.on_disk import whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

COLUMNS = ("path", "labels", "start", "end", "group", "fold", "split")
SPLITS = ("train", "validation", "test")
SEPARATOR = ";"


@dataclass(frozen=True, slots=True)
class Row:
    """One example: a file, or a stretch of one."""

    path: Path
    labels: tuple[str, ...]
    """`Genus species`, `Genus species_Common name`, or any other name; none: nothing is to be heard."""
    start: float = 0.0
    """Seconds from the file's first sample."""
    end: float | None = None
    """Seconds from the file's first sample; None for the file's end."""
    group: str = ""
    """What it was cut from, or who recorded it: a group never stands on both sides of a split. Empty: by itself."""
    fold: int | None = None
    split: str = ""
    """`train`, `validation`, `test`, or empty."""


def read_manifest(path: Path, *, may_be_gone: bool = False) -> list[Row]:
    """The rows of the manifest at `path`, with whole paths. That a few of their files are gone is for the reader to find.

    Raises:
        UserError: it is missing, no manifest, holds a mistake (`file:line: what`), or none of its files exists, unless all
            `may_be_gone`.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            table = csv.DictReader(file, restkey="", restval="")
            _check_header(path, table.fieldnames)
            rows = [_row(path, table.line_num, cells) for cells in table]
    except OSError as error:
        raise UserError(
            f"the manifest {path} cannot be read ({error.strerror}): make one with `birdwatchd-train list`"
        ) from error
    except csv.Error as error:
        raise UserError(f"{path} is no manifest ({error}): make one with `birdwatchd-train list`") from error
    if not rows:
        raise UserError(f"the manifest {path} has no rows: make it again with `birdwatchd-train list`")
    _check_spelling(path, rows)
    if not may_be_gone and not any(row.path.is_file() for row in rows):
        raise UserError(
            f"none of the {len(rows)} files in {path} exists, the first is {rows[0].path}: put the manifest back "
            "where its paths count from, or make it again with `birdwatchd-train list`"
        )
    return rows


def write_manifest(path: Path, rows: Iterable[Row]) -> None:
    """Write the rows to `path`, whole or not at all; files below the manifest's folder get paths that count from there.

    Raises:
        UserError: it cannot be written, or a label holds what joins labels.
    """
    folder = path.parent.resolve()
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(_cells(row, folder) for row in rows)
    try:
        with whole(path) as file:
            file.write(text.getvalue().encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise UserError(f"the manifest {path} cannot be written: {error.strerror or error}") from error


def to_label(index: int, name: str) -> Label:
    """The label that a name in a manifest means.

    `Genus species_Common name` is taken apart, and `Engine_Engine` too, as BirdNET writes them; `crying_baby` is not.
    """
    scientific, line, common = name.partition("_")
    if line and common and (" " in scientific or scientific == common):
        return Label(index, scientific, common)
    return Label(index, name, name)


def labels_in(rows: Iterable[Row]) -> tuple[Label, ...]:
    """All labels of the rows, by scientific name in alphabetical order."""
    found: dict[str, Label] = {}
    for name in dict.fromkeys(name for row in rows for name in row.labels):
        label = to_label(0, name)
        known = found.get(label.scientific_name)
        if known is None or known.common_name == known.scientific_name:
            found[label.scientific_name] = label
    ordered = (found[name] for name in sorted(found))
    return tuple(
        Label(index, label.scientific_name, label.common_name) for index, label in enumerate(ordered)
    )


def tidy(label: str) -> str:
    """The label without needless spaces, and with one way to write its accents: folders of a Mac have another."""
    return " ".join(unicodedata.normalize("NFC", label).split())


def _check_header(path: Path, header: Sequence[str] | None) -> None:
    named = list(header or ())
    missing = [name for name in ("path", "labels") if name not in named]
    if missing:
        raise UserError(
            f"{path}:1: there is no column {missing[0]!r}, so this is no manifest: "
            "make one of it with `birdwatchd-train list`"
        )
    # A misspelt `group` would let pieces of one recording stand on both sides of a split.
    unknown = [name for name in named if name not in COLUMNS]
    if unknown:
        raise UserError(f"{path}:1: unknown column {unknown[0]!r}: a manifest has {', '.join(COLUMNS)}")


def _row(path: Path, line: int, cells: Mapping[str, str]) -> Row:
    def refuse(why: str) -> UserError:
        return UserError(f"{path}:{line}: {why}")

    if "" in cells:
        raise refuse("more cells than columns: put quotes around what holds a comma")
    if not cells["path"] or "\0" in cells["path"]:
        raise refuse("there is no path: name a sound file")
    names = [tidy(name) for name in cells["labels"].split(SEPARATOR)]
    if not all(names) and len(names) > 1:
        raise refuse(f"there is nothing between two {SEPARATOR!r} of the labels: take one out")
    try:
        start, end = _seconds(cells.get("start", "")), _seconds(cells.get("end", ""))
    except ValueError:
        raise refuse("start and end are seconds, such as 12.5, or empty") from None
    if end is not None and end <= (start or 0.0):
        raise refuse(f"the stretch ends at {end} s, not after its start: mend start or end")
    fold = cells.get("fold", "").strip()
    if fold and not (fold.isascii() and fold.isdecimal()):
        raise refuse(f"the fold {fold!r} is no whole number: give one, or leave it empty")
    split = cells.get("split", "").strip()
    if split not in ("", *SPLITS):
        raise refuse(f"the split is {split!r}: give {', '.join(SPLITS)}, or leave it empty")
    labels = tuple(dict.fromkeys(name for name in names if name))
    unfit = next((name for name in labels if not is_name(name)), None)
    if unfit is not None:
        raise refuse(
            f"the label '{plain(unfit)[:60]}' is no name: no control characters, 200 characters at most"
        )
    group = cells.get("group", "").strip()
    return Row(
        path.parent / cells["path"], labels, start or 0.0, end, group, int(fold) if fold else None, split
    )


def _seconds(cell: str) -> float | None:
    """None for an empty cell."""
    if not cell.strip():
        return None
    seconds = float(cell)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(cell)
    return seconds


def _check_spelling(path: Path, rows: Iterable[Row]) -> None:
    spellings: dict[str, str] = {}
    for name in dict.fromkeys(name for row in rows for name in row.labels):
        species = to_label(0, name).scientific_name
        known = spellings.setdefault(species.casefold(), species)
        if known != species:
            raise UserError(f"{path}: {known!r} and {species!r} differ by case only: write them alike")


def _cells(row: Row, folder: Path) -> list[object]:
    for label in row.labels:
        if SEPARATOR in label:
            raise UserError(f"the label {label!r} holds a {SEPARATOR!r}, which joins labels: rename it")
    place = row.path.resolve()
    if place.is_relative_to(folder):
        place = place.relative_to(folder)
    start = round(row.start, 6) if row.start else ""
    end = "" if row.end is None else round(row.end, 6)
    fold = "" if row.fold is None else row.fold
    return [place, SEPARATOR.join(row.labels), start, end, row.group, fold, row.split]
