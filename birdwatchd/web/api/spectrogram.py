"""Spectrograms of clips, at any scale."""

from __future__ import annotations

import os
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

from birdwatchd.errors import RecordingError
from birdwatchd.web.finding import Found, TheKept, sound_of
from birdwatchd.web.held import KEEP
from birdwatchd.web.pictures import MOST_HEIGHT, MOST_WIDTH, Colours, View, fitted, png
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.records import Trouble
from birdwatchd.web.sounds import AT_ONCE, MOST_SECONDS, NOT_SOUND, read

router = APIRouter(tags=["clips"])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture, without axes.", "content": {"image/png": {}}},
    304: {"description": "It is as it was (`If-None-Match`)."},
    404: {"model": Trouble},
    422: {"model": Trouble},
    503: {"model": Trouble},
}
_MOST_HZ = 500_000.0


@router.get("/clips/{id}/spectrogram.png", responses=_RESPONSES, response_class=Response)
def spectrogram(
    *,
    request: Request,
    found: Found,
    kept: TheKept,
    house: TheHouse,
    database: Reading,
    width: Annotated[int, Query(ge=16, le=MOST_WIDTH, description="Pixels.")] = 1000,
    height: Annotated[int, Query(ge=16, le=MOST_HEIGHT, description="Pixels.")] = 360,
    begin: Annotated[
        float, Query(ge=0, le=MOST_SECONDS, description="Where it begins in the clip, seconds.")
    ] = 0.0,
    end: Annotated[
        float,
        Query(gt=0, le=MOST_SECONDS, description="Where it ends; the end of the clip when that is earlier."),
    ] = MOST_SECONDS,
    low_hz: Annotated[float, Query(ge=0, le=_MOST_HZ, description="The lowest frequency.")] = 0.0,
    high_hz: Annotated[
        float, Query(gt=0, le=_MOST_HZ, description="The highest; half the sample rate when that is lower.")
    ] = 15_000.0,
    colours: Annotated[
        Colours, Query(description="`night` is for dark surroundings, `paper` for light ones.")
    ] = "night",
) -> Response:
    """A picture of the sound, linear in time and frequency: what lies between `begin` and `end` fills its width."""
    with sound_of(house, database, found, kept) as file:
        status = os.fstat(file.fileno())
        tag = f'"{status.st_mtime_ns}-{status.st_size}-{width}-{height}-{begin}-{end}-{low_hz}-{high_hz}-{colours}"'
        headers = {"Cache-Control": KEEP, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        with AT_ONCE:
            try:
                samples, rate = read(file)
                view = fitted(View(begin, end, low_hz, high_hz, width, height), len(samples) / rate, rate)
                picture = png(samples, rate, view, colours)
            except RecordingError:
                raise HTTPException(404, NOT_SOUND) from None
            except ValueError as error:
                raise HTTPException(422, str(error)) from None
    return Response(picture, media_type="image/png", headers=headers)
