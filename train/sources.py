"""What a list is made from: folders of sound, tables of others, other lists, a birdwatchd database."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from birdwatchd.audio.recording import sound_files
from birdwatchd.errors import UserError
from train.crop import MANIFEST, folder_name
from train.manifest import Row, read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KINDS = ("folders", "esc50", "urbansound8k", "shared", "manifest", "tutorial", "database")

CLIP_NAME = re.compile(r"(?P<recording>.+)__\d+\.\d{3}-\d+\.\d{3}")
"""The stem of a clip that `birdwatchd-train crop` made."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found."""

    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    """What the user should know of it, one sentence each."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How sources are to be read."""

    audio: Path | None = None
    """Where the files of a table lie; beside it, or where its makers put them, when None."""
    only: Mapping[str, str] = field(default_factory=dict)
    """Rows of a table whose columns hold these."""
    group: re.Pattern[str] | None = None
    """What it finds in a file's name (its first group, if it has one) is the row's group."""
    clips: Path | None = None
    """The clips folder of a database; `clips` beside it when None."""
    unreviewed: bool = False
    """Take detections of a database that nobody has reviewed as right."""


def gather(path: Path, wanted: Wanted, kind: str = "") -> Gathered:
    """The rows that the source at `path` gives, of the kind that it looks like when `kind` is empty.

    Raises:
        UserError: it is not there, not of that kind, or holds nothing.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist: name a folder, a table, a list or a database")
    kind = kind or kind_of(path)
    if wanted.only and kind not in ("esc50", "urbansound8k", "shared"):
        raise UserError(f"--only chooses rows of a table, and {path} is none: leave it out")
    if kind == "folders":
        gathered = from_folders(path)
    elif kind == "manifest":
        gathered = Gathered(read_manifest(path))
    elif kind == "tutorial":
        from train.tutorial import read_lists

        gathered = Gathered(read_lists(path))
    elif kind == "database":
        from train.reviewed import from_database

        gathered = from_database(path, wanted.clips, unreviewed=wanted.unreviewed)
    else:
        from train.tables import from_table

        gathered = from_table(path, kind, wanted.audio, wanted.only)
    if wanted.group is not None:
        return replace(gathered, rows=[_grouped(row, wanted.group) for row in gathered.rows])
    return gathered


def kind_of(path: Path) -> str:
    """The kind of source that `path` looks like.

    Raises:
        UserError: it looks like none.
    """
    if path.is_dir():
        return "folders"
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): change its permissions") from error
    if start.startswith(b"SQLite format 3\0"):
        return "database"
    first = start.decode("utf-8-sig", "replace").splitlines()[:1]
    columns = {name.strip() for name in next(csv.reader(first), [])}
    for kind, marks in _MARKS.items():
        if marks <= columns:
            return kind
    if first and "\t" in first[0]:
        return "tutorial"
    raise UserError(
        f"{path} is no source that is known: give a folder with a folder for each class, ESC-50's or UrbanSound8K's "
        "table, a manifest, a list of `path<TAB>label` lines, or a birdwatchd database"
    )


_MARKS = {
    "esc50": {"filename", "fold", "category"},
    "urbansound8k": {"slice_file_name", "fsID", "fold", "class"},
    "manifest": {"path", "labels"},
    "shared": {"path", "label"},
}


def from_folders(folder: Path) -> Gathered:
    """One class for each folder in `folder`; a folder with sound and no folders is a class by itself.

    What `crop` wrote down there counts too: other labels of a clip, and the recording that it is of, even when it was
    moved into another class's folder.

    Raises:
        UserError: there is no sound in it.
    """
    classes = sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))
    files = sound_files(folder)
    beside = [path for path in files if path.parent == folder]
    if not files:
        raise UserError(f"there are no recordings in {folder}: name a folder with a folder for each class")
    if not [path for path in files if path.parent != folder]:
        name = folder.resolve().name
        return Gathered([Row(path, (name,), group=_recording(path)) for path in files])
    notes = []
    if beside:
        notes.append(
            f"{len(beside)} files lie beside the class folders of {folder} and are left out, first {beside[0].name}"
        )
    inside = [(path.relative_to(folder).parts[0], path) for path in files if path.parent != folder]
    heard = {name for name, _ in inside}
    notes += [
        f"the class folder {place} holds no sound: there is no such class"
        for place in classes
        if place.name not in heard
    ]
    cuts, faults = _cuts(folder)
    moved = {cut.path.name: cut for cut in cuts.values() if not cut.path.is_file()}
    rows = []
    for name, path in inside:
        cut = cuts.get(path.resolve())
        agrees = cut is not None and bool(cut.labels) and folder_name(cut.labels[0]) == name
        labels = cut.labels if cut is not None and agrees else (name,)
        origin = cut or moved.get(path.name)
        rows.append(Row(path, labels, group=(origin.group if origin else "") or _recording(path)))
    return Gathered(rows, [*notes, *faults])


def _cuts(folder: Path) -> tuple[dict[Path, Row], list[str]]:
    """The clips in the folder that `crop` wrote down, by path, and a sentence where that cannot be read."""
    table = folder / MANIFEST
    if not table.is_file():
        return {}, []
    try:
        found = read_manifest(table, may_be_gone=True) if kind_of(table) == "manifest" else []
    except UserError as error:
        return {}, [f"clips have the labels of their folders alone: {error}"]
    return {row.path.resolve(): row for row in found if not row.start and row.end is None}, []


def _recording(path: Path) -> str:
    """The recording that a clip was cut from, if its name tells; `crop` writes such names."""
    cut = CLIP_NAME.fullmatch(path.stem)
    return cut["recording"] if cut else ""


def _grouped(row: Row, pattern: re.Pattern[str]) -> Row:
    found = pattern.search(row.path.name)
    if found is None:
        raise UserError(
            f"--group {pattern.pattern!r} finds nothing in the file name {row.path.name!r}: mend the pattern"
        )
    return replace(row, group=found[1] if pattern.groups else found[0])
