"""What the API answers with, as types: their names are stable, and OpenAPI tells what each field means."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict

DetectionId = Annotated[
    str,
    Path(
        alias="id",
        pattern="^[0-9a-f]{20}$",
        description="The id of a detection: 20 hex digits.",
        examples=["3f0c5d1be2a94c77a1d0"],
    ),
]


class Record(BaseModel):
    """Whose docstrings are told."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Trouble(Record):
    """Why there is no other answer."""

    detail: str
    """A sentence for people."""


class DetectionRecord(Record):
    """A species that was heard, from its first sound to its last."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "start": "2026-05-09T06:42:10.250+02:00",
                "end": "2026-05-09T06:42:14.750+02:00",
                "seconds": 4.5,
                "common_name": "Great Tit",
                "scientific_name": "Parus major",
                "species_code": "gretit1",
                "score": 0.93,
                "threshold": 0.7,
                "occurrence": 0.25,
                "source": "garden",
                "site": "",
                "model": "birdnet-2.4",
                "windows": 3,
                "voice": False,
                "clip_path": "2026/05/09/Great_Tit_06-42-10_garden_3f0c5d1b",
                "state": "ended",
                "id": "3f0c5d1be2a94c77a1d0",
                "run_id": "5be2a94c",
                "start_sample": 480000,
                "end_sample": 696000,
                "processing_ns": 21000000,
                "dating": "",
            }
        },
    )

    start: str
    """ISO time with the offset of the station's zone, as `end`."""
    end: str
    seconds: float
    common_name: str
    scientific_name: str
    species_code: str
    """eBird's; empty where it is not known."""
    score: float
    """The highest, 0 to 1."""
    threshold: float
    occurrence: float | None
    """What the species range gives for the place and week; null when it is off."""
    source: str
    site: str
    model: str
    windows: int
    """How many passed every gate."""
    voice: bool
    """A person spoke meanwhile: no sound of it is kept."""
    clip_path: str
    """Where its files lie below the clips folder, without a suffix; whether they are there, `/clips/{id}` tells."""
    state: Literal["started", "ended"]
    id: str
    run_id: str
    start_sample: int
    """Of the source, counted from its beginning in that run, as `end_sample`."""
    end_sample: int
    processing_ns: int
    """What the classifier took for it."""
    dating: Literal["", "unset", "corrected", "repeated"]
    """What is to be said of the times: `unset` are those of a clock that nobody had set."""


class CandidateRecord(Record):
    """A species that a window of sound offered, and what became of it."""

    start: str
    """When the window began: ISO time with the offset of the station's zone."""
    source: str
    scientific_name: str
    common_name: str
    score: float
    """0 to 1."""
    threshold: float
    gate: str
    """Which gate stopped it; `detection` when none did."""
    reason: str
    """Why, in words; empty when none did."""
    clip_seconds: float | None
    """Where its window begins in the clip of the detection; null where there is none."""


class DeliveryRecord(Record):
    """What an action was given to do about a detection, and what became of that."""

    key: str
    action: str
    status: Literal["waiting", "done", "dead", "expired", "lost"]
    durability: Literal["durable", "ephemeral", "bounded"]
    attempts: int
    error: str
    """What the last attempt came to; empty when all went well."""
    created: str
    next: str | None
    """When it is tried again, where it waits."""
    expires: str | None
    settled: str | None
    notes: dict[str, str | float | bool]
    """What the action noted."""
    state: Literal["started", "ended"]
    """Which news of the detection it tells: that it began, or that it has ended."""


class Stretch(Record):
    """A part of a clip."""

    begin_seconds: float
    end_seconds: float


class GapRecord(Record):
    """Sound that was never captured; what lies before it and behind it are neighbours in the clip."""

    offset_seconds: float
    missing_seconds: float
    cause: str


class SoundRecord(Record):
    """The sound of a detection."""

    file: str
    """Its name, without a folder."""
    format: Literal["flac", "wav", "ogg", "opus", "mp3", "m4a"]
    bytes: int
    seconds: float | None
    """How long it is; null, as `sample_rate` and `call`, where its sidecar is gone."""
    sample_rate: int | None
    call: Stretch | None
    """Where the detection lies in it."""
    gaps: list[GapRecord]
    changes: dict[str, float]
    """`high_pass_hz` and `gain_db`, where they were applied."""


class PictureRecord(Record):
    """A picture that a camera took."""

    number: int
    camera: str
    taken: str
    """ISO time; empty where its sidecar is gone."""
    latency_seconds: float | None
    """From the start of the sound until the picture was complete."""


class ClipRecord(Record):
    """What is kept of a detection."""

    id: str
    sound: SoundRecord | None
    missing: str
    """Why there is no sound, in a sentence; empty when there is some."""
    pictures: list[PictureRecord]
