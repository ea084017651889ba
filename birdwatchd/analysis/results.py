"""The formats of the detections. Each is written from the findings in the order of the files, one file at a time."""

from __future__ import annotations

import csv
import importlib.util
import json
from dataclasses import asdict, astuple, fields
from datetime import datetime
from itertools import chain, count
from typing import IO, TYPE_CHECKING, Any

from birdwatchd.analysis.findings import Row, WindowRow
from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from birdwatchd.analysis.findings import Findings

RAVEN_COLUMNS = (
    "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
    "Begin File", "Begin Path", "File Offset (s)", "Species", "Common Name", "Species Code", "Score",
)  # fmt: skip


def write_csv(findings: Iterable[Findings], out: IO[str]) -> None:
    """One line a detection, the fields of `Row` as columns."""
    _write_csv(Row, (row for found in findings for row in found.rows), out)


def write_windows(findings: Iterable[Findings], out: IO[str]) -> None:
    """One line a label and window, the fields of `WindowRow` as columns."""
    _write_csv(WindowRow, (row for found in findings for row in found.windows), out)


def write_jsonl(findings: Iterable[Findings], out: IO[str]) -> None:
    """One JSON object a detection, the fields of `Row` as keys."""
    for found in findings:
        for row in found.rows:
            out.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")


def write_raven(findings: Iterable[Findings], out: IO[str]) -> None:
    """One selection table for Raven.

    As Raven wants it of several files opened as one sound, `Begin Time (s)` counts through all of them in order, and
    `File Offset (s)` from the start of its own file; with a single file the two are the same. The model does not tell
    frequencies: the box is as high as the sound.
    """
    table = csv.writer(out, dialect="excel-tab", lineterminator="\n")
    table.writerow(RAVEN_COLUMNS)
    before = 0.0
    selection = 0
    for found in findings:
        for row in found.rows:
            selection += 1
            begin, end = f"{before + row.start_seconds:.3f}", f"{before + row.end_seconds:.3f}"
            name = row.file.replace("\\", "/").rpartition("/")[2]
            box = [selection, "Spectrogram 1", 1, begin, end, 0, found.sample_rate // 2]
            place = [name, row.file, f"{row.start_seconds:.3f}"]
            table.writerow([*box, *place, row.scientific_name, row.common_name, row.code, row.score])
        before += found.seconds


def write_audacity(findings: Iterable[Findings], folder: Path) -> None:
    """One label track a recording, `RECORDING.txt`, in folders like those of the recordings."""
    for found in findings:
        target = _free(folder / _inside(found.file))
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("w", encoding="utf-8", errors="surrogateescape") as out:
            for row in found.rows:
                out.write(
                    f"{row.start_seconds:.3f}\t{row.end_seconds:.3f}\t{row.common_name} {row.score:.2f}\n"
                )


def write_parquet(findings: Iterable[Findings], path: Path) -> None:
    """The fields of `Row`, typed; `time` is a timestamp in UTC.

    Raises:
        UserError: pyarrow is not installed.
    """
    need_pyarrow()
    import pyarrow as pa
    from pyarrow import parquet

    types = {"str": pa.string(), "float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}
    columns = {field.name: types[str(field.type).removesuffix(" | None")] for field in fields(Row)}
    columns["time"] = pa.timestamp("ms", tz="UTC")
    schema = pa.schema(list(columns.items()))
    with parquet.ParquetWriter(path, schema) as writer:
        for found in findings:
            if found.rows:
                writer.write_table(pa.Table.from_pylist([_typed(row) for row in found.rows], schema))


def need_pyarrow() -> None:
    """Refuse at once, and not after hours.

    Raises:
        UserError: pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UserError("--format parquet needs pyarrow: pip install 'birdwatchd[parquet]'")


TEXT_FORMATS: dict[str, Callable[[Iterable[Findings], IO[str]], None]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "raven": write_raven,
}
"""Those that may go to standard output."""
PATH_FORMATS: dict[str, Callable[[Iterable[Findings], Path], None]] = {
    "audacity": write_audacity,
    "parquet": write_parquet,
}
"""Those that need a place: a folder, a file."""


def _write_csv(kind: type[Row | WindowRow], rows: Iterable[Row | WindowRow], out: IO[str]) -> None:
    table = csv.writer(out, lineterminator="\n")
    table.writerow(field.name for field in fields(kind))
    for row in rows:
        table.writerow(str(value).lower() if isinstance(value, bool) else value for value in astuple(row))


def _typed(row: Row) -> dict[str, Any]:
    values = asdict(row)
    values["time"] = datetime.fromisoformat(row.time) if row.time else None
    # A name that is not UTF-8 cannot stand in a parquet file.
    values["file"] = row.file.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return values


def _free(path: Path) -> Path:
    """The path, or with a number if another recording has taken it (`../a.wav` and `a.wav`)."""
    numbered = (path.with_name(f"{path.stem} ({number}){path.suffix}") for number in count(2))
    return next(candidate for candidate in chain([path], numbered) if not candidate.exists())


def _inside(file: str) -> str:
    """The path of a recording as one below a folder: without a root, and never above."""
    parts = [part for part in file.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(parts) + ".txt"
