"""Clips: the sound and the pictures of a detection. Nothing but its id and a number is ever asked for."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query
from starlette.responses import Response

from birdwatchd.detection_rows import write_raven
from birdwatchd.domain import Detection
from birdwatchd.errors import RecordingError
from birdwatchd.store import deliveries
from birdwatchd.store.kept import Kept, open_kept
from birdwatchd.web.finding import Found, TheKept, sound_of
from birdwatchd.web.held import HeldFile, in_memory
from birdwatchd.web.reading import Reading, TheHouse
from birdwatchd.web.records import ClipRecord, GapRecord, PictureRecord, SoundRecord, Stretch, Trouble
from birdwatchd.web.sounds import AT_ONCE, MEDIA_TYPES, NOT_SOUND, converted, why_missing

router = APIRouter(tags=["clips"], responses={404: {"model": Trouble}, 503: {"model": Trouble}})

_SOUND: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {kind: {} for kind in ("audio/flac", "audio/wav", "audio/ogg", "audio/mpeg", "audio/mp4")},
    },
    206: {"description": "The ranges of it that were asked for."},
    400: {"description": "The header `Range` cannot be understood.", "content": {"text/plain": {}}},
    416: {"description": "Nothing of the file lies in that range.", "content": {"text/plain": {}}},
}
_PICTURE: dict[int | str, dict[str, Any]] = {
    **_SOUND,
    200: {
        "description": "The picture.",
        "content": {kind: {} for kind in ("image/jpeg", "image/png", "image/webp")},
    },
}
_RAVEN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The table.", "content": {"text/tab-separated-values": {}}}
}


@router.get("/clips/{id}")
def what_is_kept(found: Found, kept: TheKept, house: TheHouse, database: Reading) -> ClipRecord:
    """What is kept of a detection, and why not where nothing is."""
    sound = None
    missing = ""
    file = None if kept.sound is None else open_kept(house.clips_folder, kept.sound)
    if kept.sound is None or file is None:
        missing = why_missing(found, deliveries.of(database, found.id))
    else:
        with file:
            sound = _sound_record(found, kept, os.fstat(file.fileno()).st_size)
    pictures = [
        PictureRecord(
            number=one.number, camera=one.camera, taken=one.taken, latency_seconds=one.latency_seconds
        )
        for one in kept.pictures
    ]
    return ClipRecord(id=found.id, sound=sound, missing=missing, pictures=pictures)


@router.get("/clips/{id}/sound", responses=_SOUND, response_class=Response)
def sound(
    *,
    found: Found,
    kept: TheKept,
    house: TheHouse,
    database: Reading,
    form: Annotated[
        Literal["wav", "flac"] | None,
        Query(alias="format", description="Converted, 16 bit; as it lies when left out."),
    ] = None,
    download: Annotated[
        bool, Query(description="To be written to a file, and not to be played at once.")
    ] = False,
) -> Response:
    """The sound, whole or in ranges: an `<audio>` may have this address."""
    file = sound_of(house, database, found, kept)
    name = "" if kept.sound is None else kept.sound.name
    stem, _, suffix = name.rpartition(".")
    if form is None or suffix == form:
        return HeldFile(file, media_type=MEDIA_TYPES[f".{suffix}"], filename=name, attachment=download)
    tag = _tag(file.fileno(), form)
    try:
        with file, AT_ONCE:
            content = converted(file, form)
    except (RecordingError, OSError):
        raise HTTPException(404, NOT_SOUND) from None
    return HeldFile(
        in_memory(content),
        media_type=MEDIA_TYPES[f".{form}"],
        filename=f"{stem}.{form}",
        attachment=download,
        tag=tag,
    )


@router.get("/clips/{id}/raven", responses=_RAVEN, response_class=Response)
def raven(found: Found, kept: TheKept, house: TheHouse, database: Reading) -> Response:
    """A selection table for Raven, to be opened with the clip: its times count from the clip's first sample."""
    sound_of(house, database, found, kept).close()
    cut = kept.cut
    if cut is None or kept.sound is None:
        raise HTTPException(404, "Where the detection lies in the clip is not known: its JSON file is gone.")
    begin, end = (cut.offset_seconds(sample) for sample in (found.start_sample, found.end_sample))
    table = io.StringIO()
    # Sound may be missing within: in the clip it is shorter then.
    placed = replace(found, end=found.start + timedelta(seconds=end - begin))
    write_raven([placed], house.zone(), table, zero=found.start - timedelta(seconds=begin))
    name = f"{kept.sound.stem}.Table.1.selections.txt"
    content = table.getvalue().encode()
    return HeldFile(
        in_memory(content),
        media_type="text/tab-separated-values; charset=utf-8",
        filename=name,
        attachment=True,
        tag=sha256(content).hexdigest(),
    )


@router.get("/clips/{id}/pictures/{number}", responses=_PICTURE, response_class=Response)
def picture(number: Annotated[int, Path(ge=1, le=999_999)], kept: TheKept, house: TheHouse) -> Response:
    """A picture that a camera took; `/clips/{id}` tells their numbers."""
    for one in kept.pictures:
        if one.number == number:
            file = open_kept(house.clips_folder, one.file)
            if file is not None:
                kind = MEDIA_TYPES[one.file.suffix]
                return HeldFile(file, media_type=kind, filename=one.file.name, attachment=False)
    raise HTTPException(404, "There is no such picture: none was taken, or it has given way to newer ones.")


def _sound_record(detection: Detection, kept: Kept, size: int) -> SoundRecord:
    cut, file = kept.cut, kept.sound
    name = "" if file is None else file.name
    call = None
    if cut is not None:
        begin, end = (
            round(min(max(cut.offset_seconds(sample), 0), cut.seconds), 6)
            for sample in (detection.start_sample, detection.end_sample)
        )
        call = Stretch(begin_seconds=begin, end_seconds=end)
    return SoundRecord(
        file=name,
        format=name.rpartition(".")[2],  # type: ignore[arg-type] # one of kept.SOUND_SUFFIXES
        bytes=size,
        seconds=None if cut is None else round(cut.seconds, 6),
        sample_rate=None if cut is None else cut.sample_rate,
        call=call,
        gaps=[]
        if cut is None
        else [
            GapRecord(offset_seconds=one.offset_seconds, missing_seconds=one.seconds, cause=one.cause)
            for one in cut.gaps
        ],
        changes={} if cut is None else dict(cut.changes),
    )


def _tag(descriptor: int, *more: object) -> str:
    """The same for the same content."""
    found = os.fstat(descriptor)
    return "-".join(map(str, (found.st_mtime_ns, found.st_size, *more)))
