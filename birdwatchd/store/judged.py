"""Clips that somebody has judged: by a review in the database, or in the JSON file beside the clip. The newest counts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from birdwatchd.domain import Label
from birdwatchd.store import reviews
from birdwatchd.store.detections import Choice, find
from birdwatchd.store.shelf import MOST_BYTES, SIDECAR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from birdwatchd.domain import Detection
    from birdwatchd.store.database import Database
    from birdwatchd.store.reviews import Review

Opinion = Literal["right", "wrong", "other", "unsure", ""]
"""Of a clip; empty where nobody has one."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A detection with its clip, and what somebody said of it."""

    detection: Detection
    opinion: Opinion
    heard: Label | None
    """What is to be heard in it, as far as somebody said so."""
    file: Path
    """The sound."""
    start: float
    """Where the call begins in it, seconds."""
    end: float | None
    """Where it ends; None for the end of the clip."""


def judged(database: Database, clips: Path) -> Iterator[Judged | None]:
    """Every detection with what was said of it, the oldest first; None for one without a clip in the folder.

    The JSON file says it by `reviewed` (true: somebody listened) and `verdict` (`right`, `wrong` or `unsure`; without one, a
    reviewed clip is right). Of such a file and a review in the database the newer one counts, by the file's date.

    Raises:
        StoreError: the database cannot be read.
    """
    said = {review.detection_id: review for review in reviews.latest(database)}
    for detection in find(database, Choice()):
        sidecar = _sidecar(clips, detection)
        if sidecar is None:
            yield None
            continue
        place, told = sidecar
        opinion = _opinion(told)
        review = said.get(detection.id)
        if review is not None and (not opinion or _date(place) <= review.said):
            opinion = "" if review.verdict == "withdrawn" else review.verdict
        heard = {"right": detection.label, "other": _other(review)}.get(opinion)
        start, end = _stretch(told)
        file = place.with_name(PurePosixPath(told["clip"]["file"]).name)
        yield Judged(detection, opinion, heard, file, start, end)


def _sidecar(folder: Path, detection: Detection) -> tuple[Path, dict[str, Any]] | None:
    """The JSON file of the detection's clip, and what it says; None where there is no clip."""
    inside = PurePosixPath(detection.clip_path)
    if not detection.clip_path or inside.is_absolute() or ".." in inside.parts:
        return None
    stem = folder / inside
    place = stem.with_name(f"{stem.name}{SIDECAR}")
    try:
        told = json.loads(place.read_bytes()) if place.stat().st_size <= MOST_BYTES else None
        if isinstance(told, dict) and isinstance(told["clip"]["file"], str):
            return place, told
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return None


def _opinion(told: dict[str, Any]) -> Opinion:
    verdict = told.get("verdict")
    if verdict in ("right", "wrong", "unsure"):
        known: Opinion = verdict
        return known
    return "right" if told.get("reviewed") is True else ""


def _date(place: Path) -> datetime:
    try:
        return datetime.fromtimestamp(place.stat().st_mtime, UTC)
    except (OSError, ValueError, OverflowError):  # it is gone, or of no time that there is
        return datetime.min.replace(tzinfo=UTC)


def _other(review: Review | None) -> Label | None:
    if review is None or not review.scientific_name:
        return None
    return Label(-1, review.scientific_name, review.common_name)


def _stretch(told: dict[str, Any]) -> tuple[float, float | None]:
    """Where the call lies in its clip, seconds; all of the clip where the sidecar does not tell."""
    call = told.get("call")
    if isinstance(call, dict):
        start, seconds = call.get("offset_seconds"), call.get("seconds")
        if isinstance(start, int | float) and isinstance(seconds, int | float) and seconds > 0:
            return max(0.0, start), start + seconds
    return 0.0, None
