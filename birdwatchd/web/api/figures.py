"""Figures: what reviews tell of the station."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from birdwatchd.store.figures import Share, figures
from birdwatchd.store.reviews import LONGEST_NAME
from birdwatchd.web.api.reviews import Days
from birdwatchd.web.reading import Reading
from birdwatchd.web.records import Record, Trouble
from birdwatchd.web.thresholds import config_lines

router = APIRouter(tags=["reviews"], responses={422: {"model": Trouble}, 503: {"model": Trouble}})


class ShareRecord(Record):
    """How many of those that were judged were right."""

    right: int
    judged: int
    precision: float | None
    low: float
    """The true share lies between this and `high` with 95 % confidence, after Wilson."""
    high: float


class SpeciesFigures(Record):
    """Of one species."""

    scientific_name: str
    common_name: str
    detections: int | None
    """Judged or not; null where there are too many to ask each for its model."""
    share: ShareRecord
    unsure: int
    current_threshold: float | None
    suggested_threshold: float | None
    """Null when no threshold would do, or too few were judged."""


class FiguresRecord(Record):
    """What reviews tell of the station."""

    share: ShareRecord
    unsure: int
    detections: int | None
    hours: float
    """Listened to, of all sources together."""
    false_an_hour: list[float] | None
    """The estimate, and its 95 % interval; null where the detections were not drawn by chance."""
    species: list[SpeciesFigures]
    config: str
    """Suggested thresholds, as lines for the config."""


@router.get("/reviews/figures")
def what_reviews_tell(
    *,
    database: Reading,
    days: Days = 30,
    judged: Annotated[
        Literal["sample", "all"], Query(description="Drawn by chance, or all that were judged.")
    ] = "sample",
    model: Annotated[str, Query(max_length=LONGEST_NAME, description="Of this model only.")] = "",
    precision: Annotated[float, Query(ge=0.5, le=1, description="What thresholds are to reach.")] = 0.9,
) -> FiguresRecord:
    """How often the station is right, its false alarms an hour, and better thresholds."""
    found = figures(
        database,
        since=datetime.now(UTC) - timedelta(days=days) if days else None,
        model=model,
        by_chance=judged == "sample",
        precision=precision,
    )
    return FiguresRecord(
        share=_share(found.share),
        unsure=found.unsure,
        detections=found.detections,
        hours=round(found.hours, 3),
        false_an_hour=list(found.false_an_hour) if judged == "sample" and found.false_an_hour else None,
        species=[
            SpeciesFigures(
                scientific_name=one.scientific_name,
                common_name=one.common_name,
                detections=one.detections,
                share=_share(one.share),
                unsure=one.unsure,
                current_threshold=one.suggestion.current if one.suggestion else None,
                suggested_threshold=one.suggestion.threshold if one.suggestion else None,
            )
            for one in found.species
        ],
        config=config_lines(found.species),
    )


def _share(share: Share) -> ShareRecord:
    low, high = share.interval
    return ShareRecord(right=share.right, judged=share.judged, precision=share.value, low=low, high=high)
