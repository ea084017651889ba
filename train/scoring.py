"""What a model says of the rows of a manifest: by segment, by window as the daemon decides, and by clip."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.audio.windows import segments_per_window
from birdwatchd.detection.gates import pool
from birdwatchd.errors import RecordingError, UserError
from train.manifest import to_label
from train.segments import segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from train.listener import Listener
    from train.manifest import Row

WINDOW_SECONDS = 6.0
"""What the daemon decides on, unless its config says otherwise."""
MIN_HITS = 2
"""So many segments of it have to reach the threshold, unless its config says otherwise."""
BATCH = 16
SILENCE = 1e-5
"""Root mean square below which the daemon classifies nothing, -100 dBFS."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One row, and what was said of it."""

    row: Row
    truth: NDArray[np.bool_]
    """(labels,)"""
    starts: tuple[float, ...]
    """Where its segments begin, in seconds of the file."""
    values: NDArray[np.float32]
    """Their scores, (segments, labels); a silent segment has none, as when the daemon listens."""

    @property
    def heard(self) -> NDArray[np.bool_]:
        """Which of its segments are not silent, (segments,)."""
        heard: NDArray[np.bool_] = np.asarray(self.values.any(axis=1))
        return heard

    @property
    def clip(self) -> NDArray[np.float32]:
        """The scores of the clip as a whole, (labels,): the mean of its segments that are not silent."""
        heard = self.heard
        mean: NDArray[np.float32] = self.values[heard].mean(axis=0) if heard.any() else self.values[0]
        return mean

    def windows(self, per_window: int) -> NDArray[np.float32]:
        """What the daemon decides by, (windows, labels), in every `per_window` neighbouring segments.

        Windows of nothing but silence are left out, as what the row holds is not there; of a silent row one is kept.
        """
        heard = self.heard
        firsts = range(max(1, len(self.values) - per_window + 1))
        audible = [first for first in firsts if heard[first : first + per_window].any()]
        return np.stack([decisive(self.values[first : first + per_window]) for first in audible or [0]])

    def changed(self, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Scored:
        """The same with other scores; what is silent still has none."""
        values = np.where(self.heard[:, None], change(self.values), np.float32(0))
        return replace(self, values=values)


def decisive(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The highest threshold with which the daemon still detects, float32 (segments, labels) to (labels,).

    The pooled score has to reach it, and so do `MIN_HITS` segments, or all where there are fewer.
    """
    hits = min(MIN_HITS, len(values))
    lowest_hit: NDArray[np.float32] = np.partition(values, len(values) - hits, axis=0)[len(values) - hits]
    return np.minimum(lowest_hit, pool(values))


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model says of many rows."""

    names: tuple[str, ...]
    """The labels' scientific names."""
    rows: list[Scored]
    per_window: int
    """Segments that the daemon has in a window."""
    faults: list[str] = field(default_factory=list)
    """Why a file was left out, a sentence each."""
    unknown: frozenset[str] = frozenset()
    """Names in the manifest that are no labels of the model: there its labels are taken as absent."""

    @property
    def by_segment(self) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Truth and scores, each (segments, labels); all that is in a clip counts as in each of its segments but the silent."""
        return self._truth([int(one.heard.sum()) for one in self.rows]), np.concatenate(
            [one.values[one.heard] for one in self.rows]
        )

    @property
    def by_window(self) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Truth and what the daemon decides by, each (windows, labels)."""
        windows = [one.windows(self.per_window) for one in self.rows]
        return self._truth([len(one) for one in windows]), np.concatenate(windows)

    @property
    def by_clip(self) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Truth and mean scores, each (clips, labels)."""
        return self._truth([1] * len(self.rows)), np.stack([one.clip for one in self.rows])

    def changed(self, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Scores:
        """The same with other scores."""
        return replace(self, rows=[one.changed(change) for one in self.rows])

    def _truth(self, counts: Sequence[int]) -> NDArray[np.bool_]:
        return np.repeat(np.stack([one.truth for one in self.rows]), counts, axis=0)


def score(
    listener: Listener,
    rows: Sequence[Row],
    *,
    hop_seconds: float | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Let the model hear the rows. A file that cannot be read is left out, and said.

    Args:
        listener: the model.
        rows: what it is to hear.
        hop_seconds: from segment to segment; half a segment when left out.
        progress: told how many rows are done.

    Raises:
        UserError: no row can be read.
    """
    hop = hop_seconds or listener.seconds / 2
    names = tuple(label.scientific_name for label in listener.labels)
    scored: list[Scored] = []
    faults: list[str] = []
    unknown: set[str] = set()
    for number, row in enumerate(rows, 1):
        here = {to_label(0, name).scientific_name for name in row.labels}
        unknown |= here.difference(names)
        try:
            starts, values = hear(listener, row, hop)
        except RecordingError as error:
            faults.append(str(error))
        else:
            scored.append(Scored(row, np.array([name in here for name in names]), starts, values))
        progress(number)
    if not scored:
        why = f": {faults[0]}" if faults else ", as there are none: look at its splits"
        raise UserError(f"none of the {len(rows)} rows of the manifest can be scored{why}")
    per_window = segments_per_window(WINDOW_SECONDS, listener.seconds, hop)
    return Scores(names, scored, per_window, faults, frozenset(unknown))


def hear(
    listener: Listener, row: Row, hop_seconds: float, *, complain: Callable[[str], object] | None = None
) -> tuple[tuple[float, ...], NDArray[np.float32]]:
    """Where the segments of a row begin, and their scores, float32 (segments, labels).

    Raises:
        RecordingError: as `segments`.
    """
    cut = segments(
        row,
        sample_rate=listener.sample_rate,
        seconds=listener.seconds,
        hop_seconds=hop_seconds,
        complain=complain,
    )
    starts: list[float] = []
    values: list[NDArray[np.float32]] = []
    for batch in batched(cut, BATCH):
        starts += [start for start, _ in batch]
        values.append(_classify(listener, np.stack([samples for _, samples in batch])))
    return tuple(starts), np.concatenate(values)


def _classify(listener: Listener, segments: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores, (n, labels), of segments, (n, samples); 0 for those that are silent."""
    scores = np.zeros((len(segments), len(listener.labels)), dtype=np.float32)
    heard = np.sqrt(np.square(segments, dtype=np.float64).mean(axis=1)) > SILENCE
    if heard.any():
        scores[heard] = listener.classify(segments[heard])
    return scores


def batched(
    segments: Iterable[tuple[float, NDArray[np.float32]]], size: int
) -> Iterator[list[tuple[float, NDArray[np.float32]]]]:
    """So many at a time, as itertools has it from Python 3.12 on."""
    source = iter(segments)
    while batch := list(islice(source, size)):
        yield batch
