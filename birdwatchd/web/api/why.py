"""Why was that not reported? Candidates around a moment, and the gate that stopped each."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from birdwatchd.errors import UserError
from birdwatchd.record import to_record
from birdwatchd.web.asking import ask
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.records import DetectionRecord, Record, Trouble

router = APIRouter(tags=["why"])

Name = Annotated[str, Query(max_length=200)]


class CandidatesRecord(Record):
    """Candidates of one species and source that one gate stopped."""

    first: str
    """When the first of their windows began: ISO time with the offset of the station's zone."""
    last: str
    source: str
    scientific_name: str
    common_name: str
    windows: int
    score: float
    """The highest, 0 to 1."""
    threshold: float
    gate: str
    """Which gate stopped them; `detection` when none did."""
    reason: str
    """Why, in words, for the best of them; empty when none did."""


class WhyRecord(Record):
    """What is known of a moment."""

    begin: str
    """ISO time with the offset of the station's zone, as `end`."""
    end: str
    candidates: list[CandidatesRecord]
    reported: list[DetectionRecord]
    """Detections that went on then."""
    listening: list[str]
    """What the ledger says of the hours around, a sentence for each source and hour."""
    nothing: str
    """Why there is no candidate, in a sentence; empty when there are some."""


@router.get("/why", responses={422: {"model": Trouble}, 503: {"model": Trouble}})
def why(
    *,
    house: TheHouse,
    database: Reading,
    at: Annotated[
        str,
        Query(
            max_length=40,
            description="The moment: ISO, or as on the command line (`07:42`, `2h`), in the station's zone where it "
            "names none.",
            examples=["2026-05-09T06:42:10+02:00"],
        ),
    ],
    within: Annotated[
        str,
        Query(max_length=20, description="So far before and after it, `15m` at most.", examples=["60s"]),
    ] = "60s",
    species: Annotated[
        list[Name], Query(max_length=50, description="Common or scientific names, `*` for anything.")
    ] = [],  # noqa: B006 - FastAPI copies it
    source: Annotated[list[Name], Query(max_length=50, description="Of these sources only.")] = [],  # noqa: B006
) -> WhyRecord:
    """Every candidate near a moment, and the gate that stopped it. They are kept for `store.trace_days`."""
    try:
        asked = ask(house, database, at=at, within=within, species=species, sources=source)
    except UserError as error:
        raise HTTPException(422, str(error)) from None
    zone, answer = house.zone(), asked.answer
    begin, end = (
        moment.astimezone(zone).isoformat(timespec="milliseconds")
        for moment in (asked.at - asked.reach, asked.at + asked.reach)
    )
    return WhyRecord(
        begin=begin,
        end=end,
        candidates=[
            CandidatesRecord(
                first=group.first.start.astimezone(zone).isoformat(timespec="milliseconds"),
                last=group.last.start.astimezone(zone).isoformat(timespec="milliseconds"),
                source=group.first.source,
                scientific_name=group.label.scientific_name,
                common_name=group.label.common_name,
                windows=len(group.candidates),
                score=round(group.best.score, 4),
                threshold=round(group.best.threshold, 4),
                gate=group.first.gate,
                reason=group.best.reason,
            )
            for group in answer.groups
        ],
        reported=[DetectionRecord(**to_record(one, zone)) for one in answer.reported],
        listening=list(answer.listening),
        nothing=answer.nothing,
    )
