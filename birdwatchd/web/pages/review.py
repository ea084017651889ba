"""Review: one detection after the other is listened to, and judged with a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote, unquote, urlencode

from fastapi import APIRouter, Form, HTTPException, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse, RedirectResponse

from birdwatchd.domain import Detection, Label
from birdwatchd.store import detections, queues, reviews
from birdwatchd.store.database import Database
from birdwatchd.store.kept import NOTHING, Kept
from birdwatchd.web import judging, labels
from birdwatchd.web.finding import NO_DETECTION, kept_of
from birdwatchd.web.house import House
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.rendering import page

router = APIRouter(default_response_class=HTMLResponse)

Id = Annotated[str, Field(max_length=64)]
Name = Annotated[str, Field(max_length=reviews.LONGEST_NAME)]


class Asked(BaseModel):
    """What the address of the page says."""

    queue: queues.Name = "doubtful"
    days: Annotated[int, Field(ge=0, le=judging.MOST_DAYS)] = 30
    species: Name = ""
    after: Id = ""
    at: Id = ""
    back: Id = ""
    """What was shown before."""
    said: Id = ""
    """What was judged just now."""


class Said(BaseModel):
    """What somebody said, and in which queue."""

    detection: Id
    verdict: reviews.Verdict
    heard: Name = ""
    as_typed: bool = False
    reviewer: Name = ""
    why: Id = ""
    queue: queues.Name = "doubtful"
    days: Annotated[int, Field(ge=0, le=judging.MOST_DAYS)] = 30
    species: Name = ""


QUEUES: dict[queues.Name, tuple[str, str]] = {
    "doubtful": ("Most doubtful", "Those closest to their threshold first: here your ear is worth most."),
    "sample": ("By chance", "Drawn by lot: what you say of these tells how often the station is right."),
    "rarest": ("Rarest", f"Species with at most {queues.RARE} detections, the rarest first."),
    "new": ("New species", "The first of a species, ever or this year, until somebody has judged it."),
}
COOKIE = "birdwatchd-reviewer"
"""Remembers who reviews, where there is no login to tell."""
YEAR_SECONDS = 365 * 86400
_NEAR = 8


@router.get("/review", name="review")
def review(
    request: Request, house: TheHouse, database: Reading, asked: Annotated[Asked, Query()]
) -> HTMLResponse:
    """The detection whose turn it is: the first behind `after`, or `at`."""
    shown = Shown(asked.queue, asked.days, asked.species, after=asked.after, back=asked.back, said=asked.said)
    if asked.at:
        return _page(request, house, database, replace(shown, detection=_get(database, asked.at)))
    found = judging.turns(
        house, database, asked.queue, days=asked.days, species=asked.species, after=asked.after
    )
    shown = replace(shown, without_sound=found.without_sound, further=found.further)
    if found.turns:
        turn, *rest = found.turns
        shown = replace(
            shown, detection=turn.detection, why=turn.why, following=rest[0].detection.id if rest else ""
        )
    return _page(request, house, database, shown)


@router.post("/review")
def judge(request: Request, house: TheHouse, database: Reading, said: Annotated[Said, Form()]) -> Any:
    """Write it down and go on to the next; after `withdrawn`, back to the same."""
    visitor = request.state.visitor.name
    label = _meant(house, said)
    if said.verdict == "other" and label is None:
        shown = Shown(said.queue, said.days, said.species, _get(database, said.detection), said.why)
        near = labels.search(house.labels(), said.heard, _NEAR)
        return _page(request, house, database, replace(shown, unknown=said.heard, near=near))
    review = reviews.Review(
        detection_id=said.detection,
        said=datetime.now(UTC),
        verdict=said.verdict,
        scientific_name=label.scientific_name if label else "",
        common_name=label.common_name if label else "",
        reviewer=visitor or " ".join(said.reviewer.split()),
        queue=said.queue if said.why else "",
    )
    try:
        judging.say(house, review)
    except LookupError:
        raise HTTPException(HTTPStatus.NOT_FOUND, NO_DETECTION) from None
    except ValueError:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "A name is one line.") from None
    here = Shown(said.queue, said.days, said.species)
    id_ = said.detection
    goes_on = {"at": id_} if said.verdict == "withdrawn" else {"after": id_, "back": id_, "said": id_}
    root = request.scope.get("root_path", "")
    answer = RedirectResponse(f"{root}/review?{here.query(**goes_on)}", HTTPStatus.SEE_OTHER)
    if not visitor:
        answer.set_cookie(
            COOKIE,
            quote(review.reviewer),
            YEAR_SECONDS,
            path=f"{root}/review",
            httponly=True,
            samesite="strict",
        )
    return answer


def _meant(house: House, said: Said) -> Label | None:
    """The other species that was named; None where there is none of that name."""
    if said.verdict != "other":
        return None
    label = labels.named(house.labels(), said.heard)
    if label is None and said.as_typed and said.heard.strip():
        scientific, _, common = " ".join(said.heard.split()).partition("_")
        return Label(-1, scientific, common or scientific)
    return label


@dataclass(frozen=True, slots=True)
class Shown:
    """What stands on the page."""

    queue: queues.Name
    days: int
    species: str
    detection: Detection | None = None
    why: str = ""
    """What makes it worth a listen; empty when somebody chose it."""
    following: str = ""
    """The detection after it."""
    after: str = ""
    back: str = ""
    said: str = ""
    without_sound: int = 0
    further: str = ""
    unknown: str = ""
    """A species that was typed and is no label of the model."""
    near: Sequence[Label] = ()

    def query(self, **more: str) -> str:
        """For the address of a place in the same queue."""
        wish = {"queue": self.queue, "days": self.days, "species": self.species, **more}
        return urlencode({name: value for name, value in wish.items() if value != ""})


def _get(database: Database, detection_id: str) -> Detection:
    found = detections.get(database, detection_id)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, NO_DETECTION)
    return found


def _page(request: Request, house: House, database: Database, shown: Shown) -> HTMLResponse:
    midnight = datetime.now(house.zone()).replace(hour=0, minute=0, second=0, microsecond=0)
    today, ever = reviews.count(database, midnight)
    last = reviews.of(database, shown.said)[-1:]
    one = shown.detection
    kept = kept_of(house, one) if one else NOTHING
    return page(
        request,
        "review.html",
        title="Review",
        queues=QUEUES,
        periods=judging.PERIODS,
        queries={queue: replace(shown, queue=queue).query() for queue in QUEUES},
        shown=shown,
        one=one,
        has_sound=kept.sound is not None,
        call=_call(one, kept) if one else None,
        history=reviews.of(database, one.id) if one else [],
        last=(last[0], _get(database, shown.said)) if last else None,
        next_query=shown.query(after=one.id, back=one.id) if one else "",
        further_query=shown.query(after=shown.further) if shown.further else "",
        back_query=shown.query(at=shown.back) if shown.back else "",
        reviewer=unquote(request.cookies.get(COOKIE, ""))[: reviews.LONGEST_NAME],
        today=today,
        ever=ever,
    )


def _call(one: Detection, kept: Kept) -> tuple[float, float] | None:
    """Where in its clip the detection begins and ends, from 0 to 1; None where nobody knows."""
    if kept.cut is None:
        return None
    begin, end = (
        min(1.0, max(0.0, kept.cut.offset_seconds(sample) / kept.cut.seconds))
        for sample in (one.start_sample, one.end_sample)
    )
    return (begin, end) if begin < end else None
