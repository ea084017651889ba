"""Where one source's segments and windows lie, and how a segment's sound is cut from the ring."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.domain import Scores, Segment, Window
from birdwatchd.errors import Lapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from birdwatchd.audio.ring import Ring
    from birdwatchd.audio.source import Clock

MARGIN_SECONDS = 0.025
"""Real sound on both sides of a segment while it is resampled, so that the filter does not ring at its edges."""

TOO_SLOW = "too slow"
"""Why sound is skipped that could not be analysed in time."""
LAG_SECONDS = 15.0
"""A segment that was due so long ago, with the lag still growing: sound is skipped. Rings are longer by it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How time is divided, the same for every source. `sample_rate` and `input_samples` are the model's."""

    window_seconds: float
    hop_seconds: float
    sample_rate: int
    input_samples: int

    @property
    def segment_seconds(self) -> float:
        """What the model takes at once."""
        return self.input_samples / self.sample_rate

    @property
    def segments_per_window(self) -> int:
        """Segments start on multiples of the hop; a window holds those that fit in it whole."""
        return segments_per_window(self.window_seconds, self.segment_seconds, self.hop_seconds)


def segments_per_window(window_seconds: float, segment_seconds: float, hop_seconds: float) -> int:
    """How many segments fit in a window; at least one, which then is zero-padded."""
    return max(0, math.floor((window_seconds - segment_seconds) / hop_seconds + 1e-6)) + 1


@dataclass(frozen=True, slots=True)
class Skipped:
    """Captured sound that will not be analysed, and why."""

    start_sample: int
    stop_sample: int
    cause: str


@dataclass(frozen=True, slots=True)
class StretchEnd:
    """A gap, or the end: whatever follows does not join what was before."""

    sample: int
    rest: Skipped
    """The sound at its end that was too short for a segment; may be empty."""


class Segmenter:
    """Cuts one source into segments, in order. Knows of gaps, ends and being too slow; knows nothing of scores.

    A stretch is the sound between two gaps. Its segments start on multiples of the hop, counted from its first sample.

    When it is read too slowly the oldest sound is given up. After a hiccup that is only what was overwritten. When it goes on,
    all that waits is given up at once: a window takes several segments in a row, and a skip behind each of them
    would leave no window whole.
    """

    def __init__(self, source: str, ring: Ring, plan: Plan, *, may_skip: bool = True) -> None:
        """A source that waits for its reader is never skipped."""
        self._source = source
        self._ring = ring
        self._plan = plan
        self._resampler = Resampler(ring.sample_rate, plan.sample_rate)
        self._segment_length = round(plan.segment_seconds * ring.sample_rate)
        self._origin = ring.first  # first sample of the stretch
        self._number = 0  # of the next segment in the stretch
        self._covered = ring.first  # all below it lies in a segment that was handed out, or was skipped
        self._may_skip = may_skip
        self._most = LAG_SECONDS * ring.sample_rate if may_skip else math.inf
        # Segments since sound was last skipped; nothing is held against the first.
        self._run = plan.segments_per_window
        # How late those were that are too late, in a row.
        self._lags: deque[int] = deque(maxlen=plan.segments_per_window)

    def go_on(self, plan: Plan) -> Segmenter:
        """One that goes on where this one is, with another division of time. Nothing is heard twice, nothing is left out."""
        following = Segmenter(self._source, self._ring, plan, may_skip=self._may_skip)
        start = self._start()
        gaps = [gap.index for gap in self._ring.gaps if self._origin < gap.index <= start]
        following._origin, following._covered = min([start, *gaps]), self._covered
        return following

    def take(self, *, ended: bool) -> Segment | Skipped | StretchEnd | None:
        """The next thing that is due, or None when more sound must come first.

        `ended` says that the ring will not be written any more, and has to be read before the ring is: it may be that
        the last block arrives in between.
        """
        written = self._ring.written
        start = self._start()
        overdue = written - start - self._segment_length - self._resampler.margin
        if start < self._ring.oldest:
            return self._skip_overwritten(start + overdue)
        if self._falls_behind(overdue):
            return self._skip(start + overdue)
        boundary = self._boundary(written, ended=ended)
        if boundary is None:
            if start + self._segment_length + self._resampler.margin > written:
                return None
            stop = start + self._segment_length
        else:
            stop = min(start + self._segment_length, boundary)
            if stop - start < self._segment_length / 2:
                return self._end_stretch(boundary)
        try:
            samples, level = self._cut(start, stop, boundary)
        except Lapped:
            return self._skip_overwritten(start + overdue)
        if overdue > self._most:
            self._lags.append(overdue)
        else:
            self._lags.clear()
        self._run += 1
        self._number += 1
        self._covered = max(self._covered, stop)
        return Segment(self._source, start, stop, samples, level)

    def pass_over(self, sample: int, cause: str) -> Skipped:
        """Leave out all sound below `sample` that is in no segment yet; a stretch begins there.

        `sample` has been captured, and lies at `start` or behind it.
        """
        skipped = Skipped(self._covered, max(self._covered, sample), cause)
        self._origin, self._number, self._covered = sample, 0, skipped.stop_sample
        return skipped

    @property
    def start(self) -> int:
        """Where the next segment begins."""
        return self._start()

    @property
    def needed(self) -> int:
        """The oldest sample that is still going to be read."""
        return max(self._origin, self._start() - self._resampler.margin)

    @property
    def due_at(self) -> int:
        """How many samples have to be there until the next segment is whole."""
        return self._start() + self._segment_length + self._resampler.margin

    def _start(self) -> int:
        return self._origin + round(self._number * self._plan.hop_seconds * self._ring.sample_rate)

    def _boundary(self, written: int, *, ended: bool) -> int | None:
        """Where the stretch ends, if that is known yet."""
        for gap in self._ring.gaps:
            if gap.index > self._origin:
                return gap.index
        return written if ended else None

    def _end_stretch(self, boundary: int) -> StretchEnd:
        rest = Skipped(min(self._covered, boundary), boundary, "remainder")
        self._origin, self._number, self._covered = boundary, 0, boundary
        return StretchEnd(boundary, rest)

    def _falls_behind(self, overdue: int) -> bool:
        """It is too late, and later than a window's worth of segments ago."""
        return overdue > self._most and len(self._lags) == self._lags.maxlen and overdue > self._lags[0]

    def _skip_overwritten(self, present: int) -> Skipped:
        """After a hiccup give up a second more than was overwritten; all that waits, where it was late before or is again."""
        hiccup = not self._lags and self._run >= self._plan.segments_per_window
        resume = self._ring.oldest + self._ring.sample_rate
        return self._skip(resume if hiccup else max(resume, present))

    def _skip(self, resume: int) -> Skipped:
        """Too slow: go on at the first place of the grid that is not before `resume`."""
        rate = self._ring.sample_rate
        for gap in self._ring.gaps:
            if self._origin < gap.index <= resume:
                self._origin, self._number = gap.index, 0
        if self._start() < resume:
            self._number = math.ceil((resume - self._origin) / (self._plan.hop_seconds * rate))
        skipped = Skipped(self._covered, max(self._covered, self._start()), TOO_SLOW)
        self._covered = skipped.stop_sample
        self._run = 0
        self._lags.clear()
        return skipped

    def _cut(self, start: int, stop: int, boundary: int | None) -> tuple[NDArray[np.float32], float]:
        margin = self._resampler.margin
        left = max(self._origin, start - margin)
        right = stop + margin if boundary is None else min(stop + margin, boundary)
        sound = self._ring.read(left, right)  # (right - left,)
        real = sound[start - left : stop - left]
        around = real - real.mean()
        # In place and in float32: doubles took longer than all that a source costs besides.
        level = math.sqrt(np.square(around, out=around).mean())
        padded = np.zeros(self._segment_length + 2 * margin, dtype=np.float32)
        offset = margin - (start - left)
        padded[offset : offset + len(sound)] = sound
        return self._resampler(padded, self._plan.input_samples), 20 * math.log10(
            level
        ) if level > 0 else -math.inf


class Resampler:
    """Brings a segment with its margins to the model's rate (soxr, HQ) and takes the margins off again."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self._rates = source_rate, target_rate
        if source_rate == target_rate:
            self.margin = self._target_margin = 0
            return
        # A margin of whole periods of the two rates puts the segment's first sample on an output sample.
        common = math.gcd(source_rate, target_rate)
        period, target_period = source_rate // common, target_rate // common
        if period <= MARGIN_SECONDS * 4 * source_rate:
            periods = math.ceil(MARGIN_SECONDS * source_rate / period)
            self.margin, self._target_margin = periods * period, periods * target_period
        else:  # odd rates: at most half a sample beside
            self.margin = math.ceil(MARGIN_SECONDS * source_rate)
            self._target_margin = round(self.margin * target_rate / source_rate)

    def __call__(self, padded: NDArray[np.float32], length: int) -> NDArray[np.float32]:
        """Take `padded` (margin + segment + margin,) to float32 (length,) at the target rate."""
        source_rate, target_rate = self._rates
        if source_rate == target_rate:
            return padded
        import soxr

        resampled: NDArray[np.float32] = soxr.resample(padded, source_rate, target_rate, quality="HQ")
        segment = resampled[self._target_margin : self._target_margin + length]
        if len(segment) < length:
            segment = np.pad(segment, (0, length - len(segment)))
        return segment


class Windower:
    """Puts scored segments together to windows: every run of neighbours as long as a window, each segment shared."""

    def __init__(self, source: str, clock: Clock, sample_rate: int, plan: Plan) -> None:
        self._source = source
        self._clock = clock
        self._sample_rate = sample_rate
        self._recent: deque[tuple[int, int, NDArray[np.float32]]] = deque(maxlen=plan.segments_per_window)
        self._whole = False  # a whole window was made since the stretch began

    def add(self, start: int, stop: int, scores: NDArray[np.float32]) -> tuple[Window, Scores] | None:
        """The window that this segment, `scores` float32 (labels,), completes."""
        self._recent.append((start, stop, scores))
        if len(self._recent) < (self._recent.maxlen or 1):
            return None
        self._whole = True
        return self._window()

    def end(self) -> tuple[Window, Scores] | None:
        """The stretch is over: the short window of a stretch that was shorter than one."""
        window = None if self._whole or not self._recent else self._window()
        self.clear()
        return window

    def clear(self) -> None:
        """What comes next does not join what was before."""
        self._recent.clear()
        self._whole = False

    def _window(self) -> tuple[Window, Scores]:
        starts = tuple(start for start, _, _ in self._recent)
        stops = tuple(stop for _, stop, _ in self._recent)
        window = Window(
            source=self._source,
            start_sample=starts[0],
            stop_sample=stops[-1],
            start=self._clock.at(starts[0]),
            sample_rate=self._sample_rate,
            segment_starts=starts,
        )
        return window, Scores(starts, stops, np.stack([scores for _, _, scores in self._recent]))
