"""A detection as JSON, for the programs and servers that actions give it to. docs/webhook.md shows one.

The fields of `detection` are those of `birdwatchd detections --json`. (MQTT speaks birdnet-go's dialect instead.)
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from birdwatchd.actions import Context
    from birdwatchd.domain import Detection


def encoded(detection: Detection, context: Context) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(
        payload(detection, context), ensure_ascii=False, separators=(",", ":"), allow_nan=False
    ).encode()


def payload(detection: Detection, context: Context) -> dict[str, Any]:
    """The detection, its place among others of its species, and who tells it."""
    place, tally = context.location, context.delivery.tally
    return {
        "node": context.node,
        "location": None if place is None else {"latitude": place.latitude, "longitude": place.longitude},
        "action": context.delivery.action,
        "key": context.delivery.key,
        "detection": record(detection, context.zone),
        "tally": {
            "count_today": tally.count_today,
            "first_today": tally.first_today,
            "first_of_season": tally.first_of_season,
            "first_ever": tally.first_ever,
        },
    }


def record(detection: Detection, zone: tzinfo) -> dict[str, Any]:
    """The detection alone. Times have the offset of the station's zone."""
    return {
        "start": _iso(detection.start, zone),
        "end": _iso(detection.end, zone),
        "seconds": round((detection.end - detection.start).total_seconds(), 3),
        "common_name": detection.label.common_name,
        "scientific_name": detection.label.scientific_name,
        "species_code": detection.label.code,
        "score": round(float(detection.score), 4),
        "threshold": round(float(detection.threshold), 4),
        "occurrence": None if detection.occurrence is None else round(float(detection.occurrence), 4),
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
    }


def _iso(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).isoformat(timespec="milliseconds")
