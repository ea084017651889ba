"""A detection and what is kept of it, for one request: found by its id, and by nothing else that was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, BinaryIO

from fastapi import Depends, HTTPException

from birdwatchd.domain import Detection
from birdwatchd.store import deliveries, detections
from birdwatchd.store.kept import NOTHING, Kept, look, open_kept
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.records import DetectionId
from birdwatchd.web.sounds import why_missing

if TYPE_CHECKING:
    from birdwatchd.store.database import Database
    from birdwatchd.web.house import House

NO_DETECTION = "There is no detection of this id."


def _found(identity: DetectionId, database: Reading) -> Detection:
    found = detections.get(database, identity)
    if found is None:
        raise HTTPException(404, NO_DETECTION)
    return found


Found = Annotated[Detection, Depends(_found)]
"""A parameter of a page or of the API: the detection whose id stands in the path; 404 when there is none."""


def kept_of(house: House, detection: Detection) -> Kept:
    """What lies in the clips folder of it; nothing when that cannot be read."""
    try:
        return look(house.clips_folder, detection)
    except OSError:
        return NOTHING


def _kept(found: Found, house: TheHouse) -> Kept:
    return kept_of(house, found)


TheKept = Annotated[Kept, Depends(_kept)]
"""A parameter: what is kept of that detection."""


def sound_of(house: House, database: Database, detection: Detection, kept: Kept) -> BinaryIO:
    """Its sound, open.

    Raises:
        HTTPException: 404, with a sentence that says why there is none.
    """
    file = None if kept.sound is None else open_kept(house.clips_folder, kept.sound)
    if file is None:
        raise HTTPException(404, why_missing(detection, deliveries.of(database, detection.id)))
    return file
