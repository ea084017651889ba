"""Detections: found by what they are, a page at a time, and each with all that is known of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query

from birdwatchd.errors import UserError
from birdwatchd.record import to_record
from birdwatchd.store import deliveries, newest, traces
from birdwatchd.store.detections import Choice
from birdwatchd.times import parse_moment
from birdwatchd.web.finding import Found, TheKept
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.records import CandidateRecord, DeliveryRecord, DetectionRecord, Record, Trouble

router = APIRouter(tags=["detections"], responses={404: {"model": Trouble}, 503: {"model": Trouble}})

Name = Annotated[str, Query(max_length=200)]
AROUND = timedelta(seconds=15)
"""So far before and after a detection its species is still of interest."""


class DetectionPage(Record):
    """Some detections, the newest first."""

    detections: list[DetectionRecord]
    next: str | None
    """Give it as `cursor` for what follows; null when nothing does. A page may be short and still have one."""


@router.get("/detections", responses={422: {"model": Trouble}})
def find_detections(
    *,
    house: TheHouse,
    database: Reading,
    species: Annotated[
        list[Name],
        Query(
            max_length=50,
            description="Common or scientific names, `*` for anything; several are all of them.",
            examples=[["Great Tit", "Turdus *"]],
        ),
    ] = [],  # noqa: B006 - FastAPI copies it
    source: Annotated[list[Name], Query(max_length=50, description="Of these sources only.")] = [],  # noqa: B006
    site: Annotated[list[Name], Query(max_length=50, description="Of these sites only.")] = [],  # noqa: B006
    since: Annotated[
        str | None,
        Query(
            max_length=40,
            description="From this time on: ISO, or as on the command line (`today`, `2h`, `07:42`), "
            "in the station's zone where it names none.",
            examples=["2026-05-09T06:00:00+02:00"],
        ),
    ] = None,
    until: Annotated[
        str | None, Query(max_length=40, description="Before this time; a day is included whole.")
    ] = None,
    min_score: Annotated[float, Query(ge=0, le=1, description="At least this score.")] = 0.0,
    limit: Annotated[int, Query(ge=1, le=500, description="How many a page has at most.")] = 50,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
) -> DetectionPage:
    """What was heard, the newest first.

    To read on, ask for the same with `cursor` set to `next`, until that is null. What comes in meanwhile moves nothing.
    """
    try:
        choice = Choice(
            species=tuple(species),
            since=None if since is None else parse_moment(since, datetime.now(UTC), house.zone()),
            until=None
            if until is None
            else parse_moment(until, datetime.now(UTC), house.zone(), end_of_day=True),
            min_score=min_score,
            sources=tuple(source),
            sites=tuple(site),
        )
        after = None if cursor is None else newest.Place.parse(cursor)
    except UserError as error:
        raise HTTPException(422, str(error)) from None
    except ValueError as error:
        raise HTTPException(422, f"cursor: {error}") from None
    found = newest.page(database, choice, most=limit, after=after)
    return DetectionPage(
        detections=[DetectionRecord(**to_record(one, house.zone())) for one in found.detections],
        next=None if found.next is None else found.next.cursor(),
    )


@router.get("/detections/{id}")
def one_detection(found: Found, house: TheHouse) -> DetectionRecord:
    """One detection."""
    return DetectionRecord(**to_record(found, house.zone()))


@router.get("/detections/{id}/candidates")
def candidates_of_a_detection(
    found: Found, kept: TheKept, house: TheHouse, database: Reading
) -> list[CandidateRecord]:
    """How its species scored in each window around it, oldest first. They are kept for `store.trace_days`."""
    zone = house.zone()
    return [
        CandidateRecord(
            start=one.start.astimezone(zone).isoformat(timespec="milliseconds"),
            source=one.source,
            scientific_name=one.label.scientific_name,
            common_name=one.label.common_name,
            score=round(one.score, 4),
            threshold=round(one.threshold, 4),
            gate=one.gate,
            reason=one.reason,
            clip_seconds=None if kept.cut is None else round(kept.cut.offset_seconds(one.start_sample), 3),
        )
        for one in traces.of(database, found, AROUND)
    ]


@router.get("/detections/{id}/deliveries")
def deliveries_of_a_detection(found: Found, house: TheHouse, database: Reading) -> list[DeliveryRecord]:
    """What it set off, and what became of that. It is remembered for `store.delivery_days`."""
    return [
        DeliveryRecord(**_told(deliveries.to_record(entry, house.zone())))
        for entry in deliveries.of(database, found.id)
    ]


def _told(record: dict[str, Any]) -> dict[str, Any]:
    """Without the detection and its tally: whoever asks has them."""
    return {
        **{name: value for name, value in record.items() if name not in ("detection", "tally")},
        "state": record["detection"]["state"],
    }
