"""Health: whether the station hears."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from starlette.responses import JSONResponse

from birdwatchd.web.reading import TheHouse
from birdwatchd.web.records import Record

router = APIRouter(tags=["health"])


class Health(Record):
    """How the station does, in short."""

    status: Literal["well", "faulty"]
    faults: list[str]
    """It does not hear, hangs, or cannot record: a sentence each."""
    warnings: list[str]
    """It hears and records, and something else is wrong."""
    node: str
    """The station's name."""
    version: str
    """Of birdwatchd."""
    uptime_seconds: float


@router.get(
    "/health", response_model=Health, responses={503: {"model": Health, "description": "There are faults"}}
)
def health(house: TheHouse) -> Any:
    """Whether all is well; 503 when there are faults."""
    status = house.status()
    said = Health(
        status="faulty" if status.faults else "well",
        faults=status.faults,
        warnings=status.warnings,
        node=status.node,
        version=status.version,
        uptime_seconds=round(status.uptime_seconds, 1),
    )
    return JSONResponse(said.model_dump(), 503 if status.faults else 200)
