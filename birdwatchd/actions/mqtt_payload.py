"""What subscribers read: the topics, and the JSON on each. These names are frozen; docs/mqtt.md explains them.

Names with a capital and `occurrence`, `detectionId`, `sourceId`, `sourceName` are birdnet-go's, with its types and
units. No field is ever called `timestamp` or `ts`: some of its readers take those for epoch seconds.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from birdwatchd.config.schema import Location
    from birdwatchd.domain import DailySummary, Detection, Health, Label, SourceHealth, Tally

ONLINE = b"online"
OFFLINE = b"offline"
SENSITIVITY = 1.0
"""birdnet-go's sigmoid sensitivity; a bundle's scores are final."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one station."""

    base: str

    @property
    def detection(self) -> str:
        return self.base

    @property
    def ended(self) -> str:
        return f"{self.base}/ended"

    @property
    def status(self) -> str:
        return f"{self.base}/status"

    @property
    def health(self) -> str:
        return f"{self.base}/health"

    @property
    def daily(self) -> str:
        return f"{self.base}/daily"

    def source(self, name: str) -> str:
        return f"{self.base}/source/{name}"

    def species(self, label: Label) -> str:
        return f"{self.base}/species/{slug(label.scientific_name)}"


def slug(text: str) -> str:
    """A scientific name as a part of a topic: `Parus major` is `parus-major`, in every language of the config."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "unknown"


def encode(payload: dict[str, Any]) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def detection_payload(
    detection: Detection,
    tally: Tally,
    *,
    node: str,
    location: Location | None,
    zone: tzinfo,
    late: bool,
    page_url: str = "",
    clip_url: str = "",
) -> dict[str, Any]:
    """One detection, as it was in its state. Addresses that are empty are left out."""
    start = detection.start.astimezone(zone)
    model, _, version = detection.model.rpartition("-")
    known = {} if detection.occurrence is None else {"occurrence": round(detection.occurrence, 4)}
    return {
        "SourceNode": node,
        "Date": f"{start:%Y-%m-%d}",
        "Time": f"{start:%H:%M:%S}",
        "Model": {"Name": model or version, "Version": version if model else "", "Variant": ""},
        "BeginTime": start.isoformat(timespec="milliseconds"),
        "EndTime": detection.end.astimezone(zone).isoformat(timespec="milliseconds"),
        "SpeciesCode": detection.label.code,
        "ScientificName": detection.label.scientific_name,
        "CommonName": detection.label.common_name,
        "Confidence": round(float(detection.score), 4),
        # As birdnet-go does, a station that does not say where it stands is at 0, 0.
        "Latitude": location.latitude if location else 0.0,
        "Longitude": location.longitude if location else 0.0,
        "Threshold": round(float(detection.threshold), 4),
        "Sensitivity": SENSITIVITY,
        "ClipName": "" if detection.voice else detection.clip_path,
        "ProcessingTime": detection.processing_ns,
        **known,
        "detectionId": number_of(detection.id),
        "sourceId": detection.source,
        "sourceName": detection.source,
        "id": detection.id,
        "state": detection.state,
        "windows": detection.windows,
        "startSample": detection.start_sample,
        "endSample": detection.end_sample,
        "countToday": tally.count_today,
        "firstToday": tally.first_today,
        "firstEver": tally.first_ever,
        "late": late,
        **({"pageUrl": page_url} if page_url else {}),
        **({"clipUrl": clip_url} if clip_url else {}),
        **({"dating": detection.dating} if detection.dating else {}),
    }


def is_late(detection: Detection, now: datetime, late_seconds: float) -> bool:
    """Whether a message about it, sent `now`, comes long after the sound."""
    return (now - detection.end).total_seconds() > late_seconds


def number_of(detection_id: str) -> int:
    """A detection's id as a number, for readers that take birdnet-go's row number: 52 bits, exact in a double."""
    return int.from_bytes(hashlib.blake2b(detection_id.encode(), digest_size=7).digest()) >> 4


def health_payload(health: Health) -> dict[str, Any]:
    """What the node says of itself. Sources are found by name; what is not known is null."""
    return {
        "node": health.node,
        "at": health.at.isoformat(timespec="seconds"),
        "uptimeSeconds": _number(health.uptime_seconds),
        "version": health.version,
        "model": health.model,
        "device": health.device,
        "deliveriesWaiting": health.deliveries_waiting,
        "writtenBytes": health.written_bytes,
        "sources": {source.name: _source(source) for source in health.sources},
    }


def daily_payload(summary: DailySummary) -> dict[str, Any]:
    """Yesterday's species, most heard first."""
    return {
        "node": summary.node,
        "day": summary.day.isoformat(),
        "detections": sum(count for _, count in summary.counts),
        "species": [
            {
                "ScientificName": label.scientific_name,
                "CommonName": label.common_name,
                "SpeciesCode": label.code,
                "count": count,
            }
            for label, count in summary.counts
        ],
    }


def _source(source: SourceHealth) -> dict[str, Any]:
    return {
        "capturedSeconds": _number(source.captured_seconds),
        "analysedSeconds": _number(source.analysed_seconds),
        "lostSeconds": {cause: _number(seconds) for cause, seconds in source.lost_seconds.items()},
        "lastBlockAgeSeconds": _number(source.last_block_age_seconds),
        "levelDbfs": _number(source.level_dbfs),
        "fault": source.fault,
    }


def _number(value: float) -> float | None:
    """JSON has no infinity: silence has no level, and a source that never heard a block no age of its last one."""
    return round(float(value), 3) if math.isfinite(value) else None
