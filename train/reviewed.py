"""Detections that somebody has listened to, from a birdwatchd database and the clips beside it.

The verdict stands in the clip's JSON file: `reviewed` true says that somebody listened, and `verdict` what they heard:
`right`, `wrong`, or `unsure`. Without a verdict, a reviewed clip is right.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from birdwatchd.errors import UserError
from train.manifest import Row
from train.sources import Gathered

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.domain import Detection

Verdict = Literal["right", "wrong", "unsure", ""]


def from_database(path: Path, clips: Path | None, *, unreviewed: bool) -> Gathered:
    """Right detections with their species, wrong ones as stretches in which nothing is to be heard.

    A detection's group is its source and day: one bird sings all morning. Only the stretch of the clip that the
    detection covers is taken.

    Raises:
        UserError: the database cannot be read, or gives nothing.
    """
    from birdwatchd.store.database import Database
    from birdwatchd.store.detections import Choice, find

    folder = clips or path.parent / "clips"
    rows = []
    without_clip = waiting = 0
    with Database.open(path, read_only=True) as database:
        for detection in find(database, Choice()):
            said = _sidecar(folder, detection)
            if said is None:
                without_clip += 1
                continue
            verdict = _verdict(said)
            if verdict == "unsure" or (not verdict and not unreviewed):
                waiting += 1
                continue
            rows.append(_row(folder, detection, said, right=verdict != "wrong"))
    if not rows:
        raise UserError(
            f"{path} gives no examples: clips that wait for a review (`reviewed` in the JSON file beside each): {waiting}, "
            f"detections without a clip in {folder} (say with --clips where they are): {without_clip}"
        )
    notes = [
        f"{path}: clips taken: {len(rows)}, of which judged wrong: {sum(not row.labels for row in rows)}"
    ]
    if waiting:
        notes.append(f"{path}: left out, clips that nobody has judged for certain: {waiting}")
    if without_clip:
        notes.append(f"{path}: left out, detections without a clip in {folder}: {without_clip}")
    return Gathered(rows, notes)


def _sidecar(folder: Path, detection: Detection) -> dict[str, Any] | None:
    """What is said of the detection's clip; None where there is no clip."""
    inside = PurePosixPath(detection.clip_path)
    if not detection.clip_path or inside.is_absolute() or ".." in inside.parts:
        return None
    stem = folder / inside
    try:
        said = json.loads(stem.with_name(f"{stem.name}.json").read_bytes())
        return said if isinstance(said, dict) and isinstance(said["clip"]["file"], str) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _verdict(said: dict[str, Any]) -> Verdict:
    verdict = said.get("verdict")
    if verdict in ("right", "wrong", "unsure"):
        known: Verdict = verdict
        return known
    return "right" if said.get("reviewed") is True else ""


def _row(folder: Path, detection: Detection, said: dict[str, Any], *, right: bool) -> Row:
    place = (folder / PurePosixPath(detection.clip_path)).with_name(PurePosixPath(said["clip"]["file"]).name)
    label = detection.label
    name = label.scientific_name
    if label.common_name not in ("", name):
        name = f"{name}_{label.common_name}"
    start, end = _stretch(said)
    return Row(
        place,
        (name,) if right else (),
        start=start,
        end=end,
        group=f"{detection.source} {detection.start:%Y-%m-%d}",
    )


def _stretch(said: dict[str, Any]) -> tuple[float, float | None]:
    """Where the call lies in its clip, seconds; all of the clip where the sidecar does not tell."""
    call = said.get("call")
    if isinstance(call, dict):
        start, seconds = call.get("offset_seconds"), call.get("seconds")
        if isinstance(start, int | float) and isinstance(seconds, int | float) and seconds > 0:
            return max(0.0, start), start + seconds
    return 0.0, None
