"""Detections that somebody has listened to, from a birdwatchd database and the clips beside it.

What they said stands in the database, from the review page, or in the clip's JSON file; the newer one counts
(`birdwatchd.store.judged`).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from birdwatchd.errors import UserError
from birdwatchd.model.bundle import LONGEST_NAME
from train.manifest import SEPARATOR, Row
from train.sources import Gathered

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.domain import Label
    from birdwatchd.store.judged import Judged


def from_database(path: Path, clips: Path | None, *, unreviewed: bool) -> Gathered:
    """Right detections with their species, others with that which was heard instead, wrong ones as stretches of nothing.

    A detection's group is its source and day: one bird sings all morning. Only the stretch of the clip that the
    detection covers is taken. What somebody was unsure of is left out.

    Raises:
        UserError: the database cannot be read, or gives nothing.
    """
    from birdwatchd.store.database import Database
    from birdwatchd.store.judged import judged

    folder = clips or path.parent / "clips"
    rows = []
    taken: Counter[str] = Counter()
    without_clip = waiting = 0
    with Database.open(path, read_only=True) as database:
        for one in judged(database, folder):
            if one is None:
                without_clip += 1
            elif one.opinion == "unsure" or (not one.opinion and not unreviewed):
                waiting += 1
            else:
                taken[one.opinion or "right"] += 1
                rows.append(_row(one))
    if not rows:
        raise UserError(
            f"{path} gives no examples: clips that wait for a review (on the review page, or `reviewed` in the JSON file "
            f"beside each): {waiting}, detections without a clip in {folder} (say with --clips where they are): {without_clip}"
        )
    notes = [
        f"{path}: clips taken: {len(rows)}, of which judged wrong: {taken['wrong']}, another species: {taken['other']}"
    ]
    if waiting:
        notes.append(f"{path}: left out, clips that nobody has judged for certain: {waiting}")
    if without_clip:
        notes.append(f"{path}: left out, detections without a clip in {folder}: {without_clip}")
    return Gathered(rows, notes)


def _row(one: Judged) -> Row:
    heard = one.heard or (None if one.opinion == "wrong" else one.detection.label)
    return Row(
        one.file,
        () if heard is None else (_name(heard),),
        start=one.start,
        end=one.end,
        group=f"{one.detection.source} {one.detection.start:%Y-%m-%d}",
    )


def _name(label: Label) -> str:
    """As a manifest has it; somebody may have typed it."""
    name = label.scientific_name
    if label.common_name not in ("", name) and len(name) + len(label.common_name) < LONGEST_NAME:
        name = f"{name}_{label.common_name}"
    return name.replace(SEPARATOR, ",")
