"""What a model hears in recordings: the best labels of each, or how their scores go over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.analysis.files import find
from birdwatchd.audio.decoding import open_sound
from train.manifest import Row
from train.scoring import hear
from train.segments import BLOCK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from birdwatchd.domain import Label
    from train.listener import Listener


@dataclass(frozen=True, slots=True)
class Prediction:
    """One label of one stretch of a file."""

    path: Path
    start: float
    """Seconds of the file."""
    end: float
    rank: int
    """1 is the best."""
    label: Label
    score: float
    claimed: bool
    """It reaches the label's threshold."""


def recordings(paths: Sequence[Path]) -> list[Path]:
    """The sound files at `paths`, and in folders among them.

    Raises:
        UserError: a path does not exist, or there is no sound at all.
    """
    return [file.path for file in find(paths)]


def predict(
    listener: Listener,
    path: Path,
    *,
    top: int,
    hop_seconds: float | None = None,
    over_time: bool = False,
    complain: Callable[[str], object] = lambda _: None,
) -> Iterator[Prediction]:
    """The `top` best labels of a recording as a whole, or of each of its segments.

    As a whole a label has the highest of its segments' scores: it need be heard but once.
    A damaged one is heard as far as it goes, and `complain` told what is wrong with it.

    Raises:
        RecordingError: the file cannot be read.
    """
    hop = hop_seconds or listener.seconds / 2
    starts, values = hear(listener, Row(path, ()), hop, complain=complain)
    ends = [start + listener.seconds for start in starts]
    if len(starts) == 1:
        # It may have been filled up.
        ends = [min(ends[0], _seconds(path))]
    spans = list(zip(starts, ends, values, strict=True))
    if not over_time:
        spans = [(starts[0], ends[-1], values.max(axis=0))]
    for start, end, scores in spans:
        for rank, label in enumerate(np.argsort(-scores, kind="stable")[:top].tolist(), 1):
            score = float(scores[label])
            claimed = score >= listener.threshold_of[label]
            yield Prediction(path, start, end, rank, listener.labels[label], score, bool(claimed))


def _seconds(path: Path) -> float:
    with open_sound(path) as sound:
        return sum(len(block) for block in sound.blocks(BLOCK_SECONDS)) / sound.sample_rate
