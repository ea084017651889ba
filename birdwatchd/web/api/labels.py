"""Labels: what the model that listens can tell apart."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from birdwatchd.web.labels import search
from birdwatchd.web.reading import TheHouse

router = APIRouter(tags=["labels"])


class Named(BaseModel):
    """A label of the model."""

    scientific_name: str
    common_name: str
    code: str
    """eBird species code, empty when unknown."""


class Found(BaseModel):
    """The labels that fit, the best first."""

    labels: list[Named]


@router.get("/labels", response_model=Found)
def find_labels(
    house: TheHouse,
    q: Annotated[str, Query(max_length=200, description="Some letters of a name or code.")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 12,
) -> Any:
    """Search the labels of the model that listens, by common name, scientific name and code; `q=black` finds the Blackbird."""
    return Found(
        labels=[
            Named(scientific_name=label.scientific_name, common_name=label.common_name, code=label.code)
            for label in search(house.labels(), q, limit)
        ]
    )
