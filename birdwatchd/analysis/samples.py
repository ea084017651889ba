"""Clips of each species for checking by ear: how far are the detections to be believed?"""

from __future__ import annotations

import csv
import hashlib
import heapq
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from birdwatchd.audio.decoding import open_sound
from birdwatchd.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from birdwatchd.analysis.findings import Findings, Row

MARGIN_SECONDS = 1.0
"""Sound kept before and after a detection: ears need a moment."""
COLUMNS = (
    "clip",
    "right",
    "scientific_name",
    "common_name",
    "score",
    "site",
    "time",
    "file",
    "start_seconds",
    "end_seconds",
)
Pick = Literal["random", "best"]


def choose(findings: Iterable[Findings], count: int, pick: Pick, seed: int) -> list[Row]:
    """At most `count` detections of each species, by species and then best first.

    The same seed picks the same detections, in whatever order they come. None with a voice in it is picked.
    """
    best: dict[str, list[tuple[float, str, Row]]] = defaultdict(list)
    for found in findings:
        for row in found.rows:
            if row.voice:
                continue
            chosen = best[row.scientific_name]
            rank = row.score if pick == "best" else _lot(seed, row.id)
            heapq.heappush(chosen, (rank, row.id, row))
            if len(chosen) > count:
                heapq.heappop(chosen)
    rows = [row for chosen in best.values() for _, _, row in chosen]
    return sorted(rows, key=lambda row: (row.scientific_name, -row.score, row.file, row.start_seconds))


def cut(rows: Iterable[Row], folder: Path) -> int:
    """Cut the detections out of their recordings: `folder/SPECIES/SCORE_RECORDING_SECONDS_ID.flac`, and `samples.csv`.

    The list has a column `right`, empty, for whoever listens. Clips are at the recording's own rate, all channels.

    Returns:
        How many recordings could not be read any more; their lines have no clip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = 0
    with (folder / "samples.csv").open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(COLUMNS)
        for row in rows:
            name = f"{row.score:.2f}_{_plain(Path(row.file).stem)}_{row.start_seconds:.1f}s_{row.id[:4]}.flac"
            clip = f"{_plain(row.common_name)}/{name}"
            (folder / clip).parent.mkdir(exist_ok=True)
            try:
                _cut(row, folder / clip)
            except RecordingError:
                missing += 1
                clip = ""
            species = [row.scientific_name, row.common_name, row.score]
            where = [row.site, row.time, row.file, row.start_seconds, row.end_seconds]
            table.writerow([clip, "", *species, *where])
    return missing


def _cut(row: Row, clip: Path) -> None:
    import soundfile

    begin = max(0.0, row.start_seconds - MARGIN_SECONDS)
    seconds = row.end_seconds + MARGIN_SECONDS - begin
    with open_sound(Path(row.file)) as sound:
        block: NDArray[np.float32] | None = next(sound.blocks(seconds, skip_seconds=begin), None)
        if block is None:
            raise RecordingError(f"{row.file} ends before {begin:g} s")
        # What floats hold beyond ±1 has no place in FLAC; 8 channels is all that it takes.
        soundfile.write(
            clip, np.clip(block[:, :8], -1, 1), sound.sample_rate, format="FLAC", subtype="PCM_16"
        )


def _lot(seed: int, identity: str) -> float:
    digest = hashlib.blake2b(f"{seed}\0{identity}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _plain(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w.()' -]", "_", name).strip(" .")[:80] or "_"
