"""A detection as other programs read it: the fields of CSV and JSON, of webhooks and of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from birdwatchd.domain import Detection


def to_record(detection: Detection, zone: tzinfo | None) -> dict[str, Any]:
    """Plain values by name. Times have the offset of the station's zone; the machine's own zone when it is None."""
    return {
        "start": _iso(detection.start, zone),
        "end": _iso(detection.end, zone),
        "seconds": round((detection.end - detection.start).total_seconds(), 3),
        "common_name": detection.label.common_name,
        "scientific_name": detection.label.scientific_name,
        "species_code": detection.label.code,
        "score": round(detection.score, 4),
        "threshold": round(detection.threshold, 4),
        "occurrence": None if detection.occurrence is None else round(detection.occurrence, 4),
        "source": detection.source,
        "site": detection.site,
        "model": detection.model,
        "windows": detection.windows,
        "voice": detection.voice,
        "clip_path": detection.clip_path,
        "state": detection.state,
        "id": detection.id,
        "run_id": detection.run_id,
        "start_sample": detection.start_sample,
        "end_sample": detection.end_sample,
        "processing_ns": detection.processing_ns,
        "dating": detection.dating,
    }


def _iso(moment: datetime, zone: tzinfo | None) -> str:
    return moment.astimezone(zone).isoformat(timespec="milliseconds")
