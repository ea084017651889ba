"""Reviews: what people said of detections, and what waits for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Body, HTTPException, Query, Request
from pydantic import ConfigDict, Field

from birdwatchd.record import to_record
from birdwatchd.store import queues, reviews
from birdwatchd.store.cells import from_text
from birdwatchd.web import judging
from birdwatchd.web.finding import NO_DETECTION, Found
from birdwatchd.web.house import House
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.records import DetectionId, DetectionRecord, Record, Trouble

router = APIRouter(tags=["reviews"], responses={422: {"model": Trouble}, 503: {"model": Trouble}})

Days = Annotated[
    int, Query(ge=0, le=judging.MOST_DAYS, description="Of the last so many days; 0 for all time.")
]
Name = Annotated[str, Field(max_length=reviews.LONGEST_NAME)]


class ReviewRecord(Record):
    """What somebody said of one detection. It is never changed: the newest of a detection counts."""

    detection: str
    """Its id."""
    said: str
    """ISO time with the offset of the station's zone."""
    verdict: reviews.Verdict
    """`other`: it was another species. `withdrawn`: nothing that was said before is to count."""
    scientific_name: str
    """What it was, where the verdict is `other`."""
    common_name: str
    reviewer: str
    """Who said it; empty when nobody gave a name."""
    queue: str
    """Why it was looked at: the name of a queue, or empty."""


class NewReview(Record):
    """What you say of a detection."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "example": {
                "verdict": "other",
                "scientific_name": "Periparus ater",
                "common_name": "Coal Tit",
                "reviewer": "Ada",
            }
        },
    )

    verdict: reviews.Verdict
    scientific_name: Name = ""
    """What it was: with `other`, and only with that."""
    common_name: Name = ""
    reviewer: Name = ""
    """Your name; that of the login or the token counts when there is one."""
    queue: Literal["", "doubtful", "sample", "rarest", "new"] = ""
    """The queue that you took it from: figures rest on `sample`."""


class ReviewPage(Record):
    """Some reviews, the newest first."""

    reviews: list[ReviewRecord]
    next: str | None
    """Give it as `cursor` for what follows; null when nothing does."""


class TurnRecord(Record):
    """A detection whose turn it is."""

    why: str
    detection: DetectionRecord


class QueueRecord(Record):
    """What comes next."""

    turns: list[TurnRecord]
    without_sound: int
    """Passed over, because no sound is kept of them."""
    further: str
    """Empty, or where to go on (as `after`) when so many have no sound that it was given up."""


@router.get("/reviews")
def find_reviews(
    house: TheHouse,
    database: Reading,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[
        str,
        Query(max_length=80, pattern=r"^$|^[0-9TZ:.\-]{27}~[0-9a-f]{20}$", description="`next` of a page."),
    ] = "",
) -> ReviewPage:
    """All that was said, also what does not count any more, the newest first."""
    before = None
    if cursor:
        moment, _, identity = cursor.partition("~")
        try:
            before = (from_text(moment), identity)
        except ValueError:
            raise HTTPException(422, "cursor: is not one that a page gave as `next`") from None
    found = reviews.newest(database, limit=limit, before=before)
    last = reviews.to_row(found[-1]) if len(found) == limit else None
    return ReviewPage(
        reviews=[_record(one, house) for one in found], next=f"{last[1]}~{last[0]}" if last else None
    )


@router.get("/reviews/queue")
def what_comes_next(
    *,
    house: TheHouse,
    database: Reading,
    queue: queues.Name = "doubtful",
    days: Days = 30,
    species: Annotated[
        str, Query(max_length=reviews.LONGEST_NAME, description="Scientific name; only that.")
    ] = "",
    after: Annotated[
        str, Query(max_length=64, description="The id of a detection: what stands behind it.")
    ] = "",
    count: Annotated[int, Query(ge=1, le=50)] = 10,
) -> QueueRecord:
    """Detections that nobody has judged, in the order in which they are worth a listen."""
    found = judging.turns(house, database, queue, days=days, species=species, after=after, count=count)
    zone = house.zone()
    return QueueRecord(
        turns=[
            TurnRecord(why=turn.why, detection=DetectionRecord(**to_record(turn.detection, zone)))
            for turn in found.turns
        ],
        without_sound=found.without_sound,
        further=found.further,
    )


@router.get("/detections/{id}/reviews", responses={404: {"model": Trouble}})
def reviews_of_a_detection(found: Found, house: TheHouse, database: Reading) -> list[ReviewRecord]:
    """What was said of it, the oldest first: the last one counts."""
    return [_record(one, house) for one in reviews.of(database, found.id)]


@router.post(
    "/detections/{id}/reviews",
    status_code=201,
    responses={code: {"model": Trouble} for code in (403, 404, 413)},
)
def say(
    request: Request, house: TheHouse, identity: DetectionId, said: Annotated[NewReview, Body()]
) -> ReviewRecord:
    """Say what it was. What was said before stays, and does not count any more."""
    review = reviews.Review(
        detection_id=identity,
        said=datetime.now(UTC),
        verdict=said.verdict,
        scientific_name=said.scientific_name.strip(),
        common_name=said.common_name.strip(),
        reviewer=request.state.visitor.name or said.reviewer.strip(),
        queue=said.queue,
    )
    try:
        return _record(judging.say(house, review), house)
    except LookupError:
        raise HTTPException(404, NO_DETECTION) from None
    except ValueError:
        raise HTTPException(
            422, "Names are single lines; with `other`, and only with that, goes a scientific_name."
        ) from None


def _record(review: reviews.Review, house: House) -> ReviewRecord:
    return ReviewRecord(
        detection=review.detection_id,
        said=review.said.astimezone(house.zone()).isoformat(timespec="milliseconds"),
        verdict=review.verdict,
        scientific_name=review.scientific_name,
        common_name=review.common_name,
        reviewer=review.reviewer,
        queue=review.queue,
    )
