"""Figures: what reviews tell of the station, and which thresholds would be better."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse

from birdwatchd.store.figures import FEW, figures
from birdwatchd.store.reviews import LONGEST_NAME
from birdwatchd.web.judging import MOST_DAYS, PERIODS
from birdwatchd.web.reading import Reading
from birdwatchd.web.rendering import page
from birdwatchd.web.thresholds import config_lines

router = APIRouter(default_response_class=HTMLResponse)

PRECISIONS = (0.8, 0.9, 0.95, 0.99)


class Asked(BaseModel):
    """What the address of the page says."""

    days: Annotated[int, Field(ge=0, le=MOST_DAYS)] = 30
    judged: Literal["sample", "all"] = "sample"
    model: Annotated[str, Field(max_length=LONGEST_NAME)] = ""
    precision: Annotated[float, Field(ge=0.5, le=1)] = 0.9


@router.get("/figures", name="figures")
def show_figures(request: Request, database: Reading, asked: Annotated[Asked, Query()]) -> HTMLResponse:
    """By species, and in all."""
    found = figures(
        database,
        since=datetime.now(UTC) - timedelta(days=asked.days) if asked.days else None,
        model=asked.model,
        by_chance=asked.judged == "sample",
        precision=asked.precision,
    )
    unhelped = [
        (one, one.suggestion)
        for one in found.species
        if one.suggestion is not None and one.suggestion.threshold is None
    ]
    return page(
        request,
        "figures.html",
        title="Figures",
        asked=asked,
        found=found,
        lines=config_lines(found.species),
        hopeless=[both for both in unhelped if not both[1].above.is_few],
        unknown=[both for both in unhelped if both[1].above.is_few],
        periods=PERIODS,
        precisions=sorted({*PRECISIONS, asked.precision}),
        few=FEW,
    )
