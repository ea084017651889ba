"""Tables that come with sets of recordings: ESC-50's, UrbanSound8K's, and one of path, label, set, fold and group."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

from birdwatchd.errors import UserError
from train.manifest import Row
from train.sources import Gathered

if TYPE_CHECKING:
    from collections.abc import Mapping

_COLUMNS = {
    # kind: file, label, group
    "esc50": ("filename", "category", "src_file"),
    "urbansound8k": ("slice_file_name", "class", "fsID"),
    "shared": ("path", "label", "group"),
}


def from_table(path: Path, kind: str, audio: Path | None, only: Mapping[str, str]) -> Gathered:
    """The rows of a table; its folds are the official ones, its groups the recordings that clips were cut from.

    Raises:
        UserError: it cannot be read, has not the columns of its kind, `only` leaves nothing, or no file is there.
    """
    name, label, group = _COLUMNS[kind]
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            table = csv.DictReader(file, restval="")
            columns = set(table.fieldnames or ())
            missing = {name, label, *only} - columns
            if missing:
                raise UserError(f"{path}:1: there is no column {min(missing)!r}: it has {', '.join(columns)}")
            cells = [one for one in table if all(one[column] == value for column, value in only.items())]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): change its permissions") from error
    except csv.Error as error:
        raise UserError(f"{path} is no table ({error})") from error
    if not cells:
        raise UserError(f"{path} has no rows{' that --only lets through' if only else ''}")
    places = _places(path, audio)
    rows = [
        Row(
            _find(places, one[name], one.get("fold", "")),
            (one[label],) if one[label].strip() else (),
            group=one.get(group, ""),
            fold=_number(one.get("fold", "")),
        )
        for one in cells
    ]
    if not any(row.path.is_file() for row in rows):
        raise UserError(
            f"none of the {len(rows)} files of {path} was found, such as {cells[0][name]}: "
            "say with --audio in which folder they lie"
        )
    return Gathered(rows)


def _places(path: Path, audio: Path | None) -> list[Path]:
    if audio is not None:
        return [audio]
    return [path.parent, path.parent / "audio", path.parent.parent / "audio"]


def _find(places: list[Path], name: str, fold: str) -> Path:
    """The file, in one of the places or in the folder of its fold there; in the first when it is nowhere."""
    candidates = [place / inside for place in places for inside in (Path(f"fold{fold}", name), Path(name))]
    return next((path for path in candidates if path.is_file()), candidates[1])


def _number(fold: str) -> int | None:
    """The number that the cell ends with: `3`, `us8k_fold1`."""
    found = re.search(r"\d+$", fold.strip())
    return int(found[0]) if found else None
