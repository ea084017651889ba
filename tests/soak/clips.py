"""The clips against the truth: whether each holds the sound of the time that it names."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from tests.soak.sound import RATE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.soak.trial import Trial, Verdict
    from tests.soak.world import World

COMPARED_CLIPS = 300
WORST_DATING_SECONDS = 2.0
"""What nothing delayed is dated better than so: a network's stream is not said to be late before."""
PIECE_SECONDS = 2
"""So much of a clip is looked for at once."""
UNKNOWN = math.inf
"""Nobody can say what sounded."""
REACH_SECONDS = 30.0
"""So far around its time a clip's sound is looked for."""


def judge_clips(verdict: Verdict, trial: Trial, detections: dict[str, Any]) -> None:
    """Compare those that are there."""
    world = trial.world
    files = [path for path in world.clips.rglob("*") if path.is_file()] if world.clips.exists() else []
    paths = {row["clip_path"] for row in detections.values()}
    orphans = [path for path in files if str(path.relative_to(world.clips)).rsplit(".", 1)[0] not in paths]
    verdict.find(
        "No clip without a detection, no half clip",
        f"{len(files)} files, {len(orphans)} orphans{': ' + str(orphans[0].name) if orphans else ''}",
        holds=not orphans,
    )
    # A clip that was begun while the clock was wrong says so in its name: by when it was written, then.
    stepped = [(one.start - 5, one.end + 180) for one in trial.disturbances if one.name.startswith("clock")]
    quiet: list[float] = []
    disturbed: list[float] = []
    strange: list[str] = []
    for path in sorted(files):
        if path.suffix != ".flac" or len(quiet) + len(disturbed) + len(strange) == COMPARED_CLIPS:
            continue
        said = json.loads(path.with_suffix(".json").read_text())
        written = (path.stat().st_mtime - world.clock.epoch) * world.clock.speed
        if said["clip"]["gaps"] or any(first < written < last for first, last in stepped):
            continue
        source = said["detection"]["source"]
        if source not in world.sources:
            continue
        start = datetime.fromisoformat(said["clip"]["start"]).timestamp() - world.clock.epoch
        offset = clip_offset(world, source, path, start)
        if offset == UNKNOWN:
            continue
        if offset is None:
            strange.append(f"{source} at {start:.0f} s")
        elif source in world.streams and trial.is_disturbed(written - 60, written):
            disturbed.append(offset)
        else:
            quiet.append(offset)
    if quiet or disturbed or strange:
        verdict.find(
            "A clip holds the sound of the time that it names",
            f"{len(quiet)} clips of sound that nothing had delayed, dated {_spread(quiet)}; {len(disturbed)} of a stream that a "
            f"fault had delayed, {_spread(disturbed)}{'; not that sound: ' + ', '.join(strange[:10]) if strange else ''}",
            holds=not strange and all(abs(offset) < WORST_DATING_SECONDS for offset in quiet),
        )


def _spread(offsets: list[float]) -> str:
    if not offsets:
        return "-"
    return f"{np.median(offsets):+.2f} s from its true time at the median, {max(offsets, key=abs):+.2f} s at the worst"


def clip_offset(world: World, source: str, path: Path, start: float) -> float | None:
    """How much later than it was the clip says that it was, in seconds.

    None when it is not that sound at all, UNKNOWN when nobody can say what sounded then.
    """
    clip, _ = soundfile.read(path, dtype="int16")
    if source in world.streams:
        return _offset_of(world, source, clip, start)
    assert world.player is not None
    steady = [
        second
        for second in range(len(clip) // RATE - PIECE_SECONDS + 1)
        if world.player.was_steady(start + second, start + second + PIECE_SECONDS)
    ]
    offsets = [
        _offset_of(world, source, clip[second * RATE :], start + second)
        for second in sorted({steady[0], steady[len(steady) // 2], steady[-1]} if steady else ())
    ]
    if not offsets:
        return UNKNOWN
    return max((offset for offset in offsets if offset is not None), key=abs, default=None)


def _offset_of(world: World, source: str, clip: NDArray[np.int16], start: float) -> float | None:
    """The same for its first seconds alone."""
    reach = round(REACH_SECONDS * RATE)
    piece = clip[: PIECE_SECONDS * RATE].astype(np.float32)
    first = max(0, round(start * RATE) - reach)
    played = world.scenes[source].sound(first, first + 2 * reach + len(piece)).astype(np.float32)
    size = 1 << (len(played) + len(piece)).bit_length()
    match = np.fft.irfft(np.fft.rfft(played, size) * np.conj(np.fft.rfft(piece, size)), size)[
        : len(played) - len(piece)
    ]
    energy = np.concatenate([[0.0], np.cumsum(played.astype(np.float64) ** 2)])
    at = int((match / np.sqrt(energy[len(piece) : -1] - energy[: len(match)])).argmax())
    likeness = np.corrcoef(played[at : at + len(piece)], piece)[0, 1]
    return float(start - (first + at) / RATE) if likeness > 0.99 else None
