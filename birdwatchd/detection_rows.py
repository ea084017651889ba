"""Detections for other programs: CSV, JSON, and Raven's selection tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from birdwatchd.record import to_record
from birdwatchd.times import midnight

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, tzinfo
    from typing import TextIO

    from birdwatchd.domain import Detection

COLUMNS = (
    "start",
    "end",
    "seconds",
    "common_name",
    "scientific_name",
    "species_code",
    "score",
    "threshold",
    "occurrence",
    "source",
    "site",
    "model",
    "windows",
    "voice",
    "clip_path",
    "state",
    "id",
    "run_id",
    "start_sample",
    "end_sample",
    "processing_ns",
    "dating",
)

RAVEN_COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Begin Date Time",
    "Common Name",
    "Species",
    "Confidence",
    "Source",
    "Site",
)

_RAVEN_BAND = (0, 15000)
"""A detection has no band of its own; this is what BirdNET listens to."""


def write_csv(found: Iterable[Detection], zone: tzinfo | None, out: TextIO, *, header: bool = True) -> None:
    """One line a detection, below a line of names."""
    import csv

    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    for detection in found:
        record = to_record(detection, zone)
        record["voice"] = str(detection.voice).lower()
        writer.writerow(record.values())


def write_json(found: Iterable[Detection], zone: tzinfo | None, out: TextIO) -> None:
    """One array, an object a detection, each on its own line."""
    import json

    between = "[\n"
    for detection in found:
        out.write(between + json.dumps(to_record(detection, zone), ensure_ascii=False))
        between = ",\n"
    out.write("\n]\n" if between == ",\n" else "[]\n")


def write_json_lines(found: Iterable[Detection], zone: tzinfo | None, out: TextIO) -> None:
    """An object a detection, each on its own line, for a stream that has no end."""
    import json

    out.writelines(json.dumps(to_record(detection, zone), ensure_ascii=False) + "\n" for detection in found)


def write_raven(
    found: Iterable[Detection], zone: tzinfo | None, out: TextIO, *, zero: datetime | None = None
) -> None:
    """Raven's selection table. Begin and end count from `zero`, or else from the midnight before the first one."""
    out.write("\t".join(RAVEN_COLUMNS) + "\n")
    for number, detection in enumerate(found, start=1):
        if zero is None:
            zero = midnight(detection.start, zone)
        begin = (detection.start - zero).total_seconds()
        cells = (
            number,
            "Spectrogram 1",
            1,
            f"{begin:.3f}",
            f"{begin + (detection.end - detection.start).total_seconds():.3f}",
            *_RAVEN_BAND,
            detection.start.astimezone(zone).strftime("%Y/%m/%d %H:%M:%S.%f")[:-3],
            detection.label.common_name,
            detection.label.scientific_name,
            f"{detection.score:.4f}",
            detection.source,
            detection.site,
        )
        out.write("\t".join(_one_line(str(cell)) for cell in cells) + "\n")


def _one_line(cell: str) -> str:
    return " ".join(cell.split())
