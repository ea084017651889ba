"""The sound of a clip, read for pictures and for other formats; and why there is none, in words."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from birdwatchd.actions.clip_sound import encode, to_pcm16
from birdwatchd.audio.decoding import open_sound
from birdwatchd.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from birdwatchd.actions.clip_sound import Format
    from birdwatchd.domain import Detection
    from birdwatchd.store.deliveries import Entry

MEDIA_TYPES = {
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
NOT_SOUND = (
    "What lies there is no sound that can be read: somebody has changed the file, or its disk is damaged."
)
MOST_SECONDS = 600.0
"""No clip is longer."""
AT_ONCE = threading.BoundedSemaphore(2)
"""So many are worked on at a time, whoever asks for more: the pipeline needs the cores."""


def read(file: BinaryIO) -> tuple[NDArray[np.float32], int]:
    """The first channel, float32 (n,), and its rate in Hz.

    Raises:
        RecordingError: it is no sound.
    """
    # By the descriptor and not by its name, which may mean another file by now; ffmpeg is a process of its own.
    with open_sound(Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")) as sound:
        blocks = []
        for block in sound.blocks(10.0):
            blocks.append(block[:, 0])
            if sum(map(len, blocks)) >= MOST_SECONDS * sound.sample_rate:
                break
        return (np.concatenate(blocks) if blocks else np.zeros(0, np.float32)), sound.sample_rate


def measured(file: BinaryIO) -> tuple[float, int]:
    """How long it is, in seconds, and its rate in Hz.

    Raises:
        RecordingError: it is no sound.
    """
    samples, rate = read(file)
    if not len(samples):
        raise RecordingError("it is empty")
    return len(samples) / rate, rate


def converted(file: BinaryIO, form: Format) -> bytes:
    """The sound in another format, 16 bit.

    Raises:
        RecordingError: it is no sound.
        OSError: ffmpeg, which some formats need, is missing or failed.
    """
    samples, rate = read(file)
    return encode(to_pcm16(samples), rate, form)


def why_missing(detection: Detection, deliveries: Sequence[Entry]) -> str:
    """Why no sound of it lies there, as far as that is known, and what to do."""
    if detection.voice:
        return "A person spoke meanwhile: sound with voices is not kept."
    if not detection.clip_path:
        return "It was recorded without a place for its sound."
    asked = [entry for entry in deliveries if entry.kind == "bounded"]
    if not asked:
        if deliveries or detection.state == "started":
            return (
                "No action was asked to keep its sound: `save_clip` below `actions` in the config does that, "
                "for what its `when` lets pass."
            )
        return (
            "Its sound is not there: either none was kept, or it has given way to newer ones "
            "(store.retention in the config says how much stays)."
        )
    last = asked[-1]
    delivery = last.delivery
    if delivery.status == "waiting":
        tried = f" The last attempt: {delivery.error.rstrip('.')}." if delivery.error else ""
        return (
            f"Its sound is on its way: {delivery.action} writes it when what follows has been heard.{tried}"
        )
    if delivery.status != "done":
        return f"Its sound could not be kept: {delivery.error or delivery.status}."
    if last.notes.get("kept") is False:
        return f"Its sound was not kept: {last.notes.get('why', 'the action did not say why')}."
    return (
        "Its sound was kept, and has given way since: store.retention in the config says how much stays, "
        "and the best clip of each species stays longest."
    )
