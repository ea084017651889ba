"""Lists of `path<TAB>label` lines, as tutorials use them; the label is a name, or a number in `label_list.txt` beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdwatchd.errors import UserError
from train.manifest import Row, labels_in, tidy, to_label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LABELS = "label_list.txt"
_SPLITS = {"train_list.txt": "train", "validation_list.txt": "validation", "test_list.txt": "test"}
_ALL = "data_list.txt"


def read_lists(path: Path) -> list[Row]:
    """The rows of one list; `train_list.txt` and the like say which split they are.

    A path that is not absolute counts from the list's folder or, where it is not there, from the current one.

    Raises:
        UserError: it cannot be read, or a line is no `path<TAB>label`.
    """
    names = _lines(path.parent / LABELS) if (path.parent / LABELS).is_file() else []
    rows = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        name, tab, label = line.partition("\t")
        label = tidy(label)
        if not (tab and name and label):
            raise UserError(f"{path}:{number}: {line!r} is not `path<TAB>label`: put one tab between the two")
        if names and label.isascii() and label.isdecimal():
            if int(label) >= len(names):
                raise UserError(
                    f"{path}:{number}: there is no label {label}: {LABELS} has {len(names)}, from 0"
                )
            label = tidy(names[int(label)])
        place = path.parent / name
        if not place.is_file():
            place = path.parent.cwd() / name
        rows.append(Row(place, (label,), split=_SPLITS.get(path.name, "")))
    if not rows:
        raise UserError(f"{path} has no lines: each is `path<TAB>label`")
    return rows


def write_lists(folder: Path, rows: Sequence[Row]) -> int:
    """Write the rows as lists, one for each split, with `label_list.txt`; how many rows cannot stand in such a list.

    A list has room for whole files of one label only.

    Raises:
        UserError: they cannot be written.
    """
    fitting = [row for row in rows if len(row.labels) == 1 and not row.start and row.end is None]
    labels = labels_in(fitting)
    index = {label.scientific_name: label.index for label in labels}
    texts: dict[str, str] = {LABELS: "".join(f"{label.scientific_name}\n" for label in labels)}
    files = {split: name for name, split in _SPLITS.items()}
    for row in fitting:
        name = files.get(row.split, _ALL)
        label = index[to_label(0, row.labels[0]).scientific_name]
        texts[name] = texts.get(name, "") + f"{row.path.resolve()}\t{label}\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UserError(f"the lists cannot be written to {folder}: {error.strerror}") from error
    return len(rows) - len(fitting)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): change its permissions") from error
    return text.split("\n") if text.count("\n") else [text]
