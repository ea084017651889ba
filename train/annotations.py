"""What people or programs have marked in recordings: Raven's selections, Audacity's labels, `birdwatchd analyze`'s table."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from birdwatchd.errors import UserError
from train.manifest import tidy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

# The first of these columns that a table has, in any case.
_START = ("File Offset (s)", "Begin Time (s)", "start_seconds", "start_s", "start")
_BEGIN = ("Begin Time (s)", "start_seconds", "start_s", "start")
_END = ("End Time (s)", "end_seconds", "end_s", "end")
_FILE = ("Begin Path", "Begin File", "file", "path", "filename")
_LABEL = ("Species", "scientific_name", "Annotation", "Label", "Tags", "Common Name", "common_name")
_COMMON = ("Common Name", "common_name")
_SCORE = re.compile(r" [01]\.\d\d$")
"""`birdwatchd analyze --format audacity` puts it behind the name."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A stretch of a recording in which somebody is heard."""

    file: str
    """The recording as the table calls it, or what the table itself is called, when it names none."""
    start: float
    """Seconds from the recording's first sample."""
    end: float
    label: str


def read_annotations(path: Path) -> list[Annotation]:
    """All annotations of the file at `path`, or of the text and CSV files in the folder.

    Raises:
        UserError: it cannot be read, is in no known format, or a line holds a mistake (`file:line: what`).
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.casefold() in (".txt", ".csv", ".tsv"))
        if not files:
            raise UserError(f"there are no annotations in {path}: name a folder with .txt or .csv files")
        return [one for file in files for one in read_annotations(file)]
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise UserError(f"the annotations {path} cannot be read: {error.strerror}") from error
    first = lines[0] if lines else ""
    if not first or re.match(r"\s*-?\d+([.,]\d+)?\t", first):
        return _audacity(path, lines)
    dialect = "excel-tab" if first.count("\t") > first.count(",") else "excel"
    try:
        return list(dict.fromkeys(_table(path, lines, dialect)))
    except csv.Error as error:
        raise UserError(f"{path} is no table ({error}): is a quote not closed?") from error


def of_recording(annotations: Iterable[Annotation], recording: Path, *, alone: bool) -> list[Annotation]:
    """Those of the recording: the file that they name ends as its path does, or is called as it is.

    Without a name of a recording they are of one that the table is called after (`x.wav.txt`, `x.txt`,
    `x.Table.1.selections.txt`), or of the only one there is (`alone`).
    """
    return [one for one in annotations if _is_of(one.file, recording, alone=alone)]


def _is_of(file: str, recording: Path, *, alone: bool) -> bool:
    if file.startswith("\0"):
        table = file[1:]
        return alone or table.startswith((f"{recording.name}.", f"{recording.stem}."))
    named = PurePath(file.replace("\\", "/"))
    if named.name != recording.name:
        return False
    # Two recordings of one name in two folders: as much of the path as both have must agree.
    ours, theirs = recording.parts[-2:-1], named.parts[-2:-1]
    return alone or not theirs or ours in (theirs, ())


def _audacity(path: Path, lines: Sequence[str]) -> list[Annotation]:
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(
            "\\"
        ):  # a line with a backslash gives the frequencies of the one before
            continue
        cells = line.split("\t")
        start, end = _times(path, number, cells[0], cells[1] if len(cells) > 1 else "")
        label = tidy(_SCORE.sub("", "\t".join(cells[2:]).rstrip()))
        found.append(Annotation(f"\0{path.name}", start, end, _named(path, number, label)))
    return found


def _table(path: Path, lines: Sequence[str], dialect: str) -> list[Annotation]:
    table = csv.DictReader(lines, dialect=dialect, restval="")
    known = {name.casefold(): name for name in table.fieldnames or ()}

    def column(names: Sequence[str]) -> str:
        return next((known[name.casefold()] for name in names if name.casefold() in known), "")

    start, begin, end, label = column(_START), column(_BEGIN), column(_END), column(_LABEL)
    file, common = column(_FILE), column(_COMMON)
    if not (begin and end and label):
        raise UserError(
            f"{path} is no table of annotations that is known: give Raven's selections, Audacity's labels, or a table "
            "with file, start, end and label"
        )
    found = []
    for cells in table:
        first, last = _times(path, table.line_num, cells[begin], cells[end])
        offset, _ = _times(path, table.line_num, cells[start], cells[start])
        named = cells[file] if file else ""
        found.append(
            Annotation(
                named or f"\0{path.name}",
                offset,
                offset + last - first,
                _named(path, table.line_num, _label(cells, label, common)),
            )
        )
    return found


def _label(cells: Mapping[str, str], label: str, common: str) -> str:
    name = tidy(cells[label])
    other = tidy(cells[common]) if common else ""
    return f"{name}_{other}" if other and other != name and " " in name else name or other


def _named(path: Path, line: int, label: str) -> str:
    if not label:
        raise UserError(f"{path}:{line}: there is no label: say what is heard there, or take the line out")
    return label


def _times(path: Path, line: int, start: str, end: str) -> tuple[float, float]:
    try:
        # Audacity writes the decimal point of the user's language.
        first, last = (float(cell.replace(",", ".")) for cell in (start, end))
    except ValueError:
        first = math.nan
    if not (math.isfinite(first) and math.isfinite(last) and 0 <= first <= last):
        raise UserError(f"{path}:{line}: {start!r} to {end!r} is no stretch of time in seconds")
    return first, last
