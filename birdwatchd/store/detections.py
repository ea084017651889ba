"""Detections: written once when they start and once when they end, and found again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdwatchd.domain import Detection, Label
from birdwatchd.store.cells import from_text, to_real, to_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

COLUMNS = (
    "id",
    "run_id",
    "source",
    "site",
    "label_index",
    "scientific_name",
    "common_name",
    "species_code",
    "start_sample",
    "end_sample",
    "start_utc",
    "end_utc",
    "score",
    "windows",
    "model",
    "threshold",
    "occurrence",
    "processing_ns",
    "clip_path",
    "voice",
    "state",
)

Row = tuple[str | int | float | None, ...]
"""As `COLUMNS`."""

_WRITE = (
    f"INSERT INTO detections ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - constants
    f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in COLUMNS[1:])}"
)


def to_row(detection: Detection) -> Row:
    """The row of a detection, in plain types: numbers may come as numpy's."""
    return (
        detection.id,
        detection.run_id,
        detection.source,
        detection.site,
        int(detection.label.index),
        detection.label.scientific_name,
        detection.label.common_name,
        detection.label.code,
        int(detection.start_sample),
        int(detection.end_sample),
        to_text(detection.start),
        to_text(detection.end),
        to_real(detection.score),
        int(detection.windows),
        detection.model,
        to_real(detection.threshold),
        None if detection.occurrence is None else to_real(detection.occurrence),
        int(detection.processing_ns),
        detection.clip_path,
        int(detection.voice),
        detection.state,
    )


def from_row(row: sqlite3.Row) -> Detection:
    """The detection that `to_row` made a row of."""
    return Detection(
        id=row["id"],
        run_id=row["run_id"],
        source=row["source"],
        site=row["site"],
        label=Label(row["label_index"], row["scientific_name"], row["common_name"], row["species_code"]),
        start_sample=row["start_sample"],
        end_sample=row["end_sample"],
        start=from_text(row["start_utc"]),
        end=from_text(row["end_utc"]),
        score=row["score"],
        windows=row["windows"],
        model=row["model"],
        threshold=row["threshold"],
        occurrence=row["occurrence"],
        processing_ns=row["processing_ns"],
        clip_path=row["clip_path"],
        voice=bool(row["voice"]),
        state=row["state"],
    )


def write(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write detections in their order; the same id is the same row, in its latest state. Inside a transaction."""
    connection.executemany(_WRITE, rows)
