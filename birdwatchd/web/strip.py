"""A strip of time: the picture of a sound, what is marked in it, and the scores below it. All places are percentages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birdwatchd.audio.windows import Plan
    from birdwatchd.domain import Candidate, Detection
    from birdwatchd.store.kept import Cut

Reach = Literal["clip", "call"]
ROUND_SECONDS = 3.0
"""Before and after a detection of which there is no clip."""
CLOSE_SECONDS = 0.5
"""Before and after the call, where it is looked at alone."""
MOST_TICKS = 8
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
_LARGE_KHZ, _SMALL_KHZ = 9, 2.5


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the strip's width."""

    left: float
    width: float
    begin: float
    """Seconds, as `end`: also what lies outside of the strip."""
    end: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A number beside an axis."""

    at: float
    words: str


@dataclass(frozen=True, slots=True)
class Point:
    """A window's score, at the window's middle."""

    candidate: Candidate
    x: float
    y: float
    """From above."""
    is_shown: bool
    """It is the window that is marked."""

    @property
    def passed(self) -> bool:
        """No gate stopped it."""
        return self.candidate.gate == "detection"


@dataclass(frozen=True, slots=True)
class Strip:
    """What is drawn."""

    begin: float
    """Seconds, in the clip; where there is none, since the detection's start."""
    end: float
    high_hz: float
    call: Part | None
    """None, as all that follows, where nobody knows where the clip was cut."""
    window: Part | None
    segments: tuple[Part, ...]
    gaps: tuple[Tick, ...]
    seconds: tuple[Tick, ...]
    kilohertz: tuple[Tick, ...]
    points: tuple[Point, ...]
    threshold: float
    """From above."""


def lay_out(
    detection: Detection,
    cut: Cut | None,
    candidates: Sequence[Candidate],
    plan: Plan | None,
    *,
    reach: Reach = "clip",
    high_hz: float = 15_000.0,
    window: int | None = None,
    clip_seconds: float | None = None,
) -> Strip:
    """Lay it out.

    Args:
        detection: what it is about.
        cut: where its clip was cut; None where there is none, or nobody knows.
        candidates: how its species scored around it.
        plan: how its model divides time; None where that is not known.
        reach: all of the clip, or the call with a little around it.
        high_hz: the upper edge of the picture.
        window: the first sample of the window to mark; the best when left out.
        clip_seconds: the length of a clip of which nobody knows where it was cut.
    """
    if cut is None and clip_seconds is not None:
        seconds, kilohertz = _seconds(0.0, clip_seconds), _kilohertz(high_hz)
        return Strip(0.0, clip_seconds, high_hz, None, None, (), (), seconds, kilohertz, (), 0.0)
    rate = cut.sample_rate if cut is not None else _rate(detection)

    def seconds_of(sample: int) -> float:
        return (sample - (detection.start_sample if cut is None else cut.first_sample)) / rate

    call_begin, call_end = seconds_of(detection.start_sample), seconds_of(detection.end_sample)
    begin, end = (
        (0.0, cut.seconds) if cut is not None else (call_begin - ROUND_SECONDS, call_end + ROUND_SECONDS)
    )
    if reach == "call":
        near = max(begin, call_begin - CLOSE_SECONDS), min(end, call_end + CLOSE_SECONDS)
        begin, end = near if near[0] < near[1] else (begin, end)
    if cut is not None:
        high_hz = min(high_hz, cut.sample_rate / 2)
    length = end - begin

    def part(first: float, last: float) -> Part:
        left, right = (min(max((at - begin) / length, 0.0), 1.0) * 100 for at in (first, last))
        return Part(round(left, 3), round(right - left, 3), first, last)

    shown = _chosen(candidates, window)
    marked: Part | None = None
    segments: tuple[Part, ...] = ()
    if shown is not None and plan is not None:
        first = seconds_of(shown.start_sample)
        marked = part(first, first + plan.window_seconds)
        starts = [first + number * plan.hop_seconds for number in range(plan.segments_per_window)]
        segments = tuple(part(start, start + plan.segment_seconds) for start in starts)
    half = (plan.window_seconds if plan is not None else 0.0) / 2
    points = []
    for one in candidates:
        middle = (seconds_of(one.start_sample) + half - begin) / length * 100
        if 0 <= middle <= 100:  # noqa: PLR2004 - percent
            points.append(Point(one, round(middle, 3), round(100 - 100 * one.score, 2), one is shown))
    return Strip(
        begin=begin,
        end=end,
        high_hz=high_hz,
        call=part(call_begin, call_end),
        window=marked,
        segments=segments,
        gaps=tuple(
            Tick(round((gap.offset_seconds - begin) / length * 100, 3), f"{gap.seconds:.1f} s missing")
            for gap in (cut.gaps if cut is not None else ())
            if begin <= gap.offset_seconds <= end
        ),
        seconds=_seconds(begin, end),
        kilohertz=_kilohertz(high_hz),
        points=tuple(points),
        threshold=round(100 - 100 * detection.threshold, 2),
    )


def _rate(detection: Detection) -> float:
    """Of its source, in Hz, as its own length tells; a gap within it makes that a little wrong."""
    seconds = (detection.end - detection.start).total_seconds()
    samples = detection.end_sample - detection.start_sample
    return samples / seconds if seconds > 0 and samples > 0 else 48_000.0


def _chosen(candidates: Sequence[Candidate], window: int | None) -> Candidate | None:
    for one in candidates:
        if one.start_sample == window:
            return one
    passed = [one for one in candidates if one.gate == "detection"]
    return max(passed or candidates, key=lambda one: one.score, default=None)


def _seconds(begin: float, end: float) -> tuple[Tick, ...]:
    step = next((step for step in _STEPS if (end - begin) / step <= MOST_TICKS), _STEPS[-1])
    first = -int(-begin // step)
    numbers = range(first, int(end / step + 1e-6) + 1)
    return tuple(Tick(round((n * step - begin) / (end - begin) * 100, 3), f"{n * step:g}") for n in numbers)


def _kilohertz(high_hz: float) -> tuple[Tick, ...]:
    khz = high_hz / 1000
    step = 3 if khz > _LARGE_KHZ else 1 if khz > _SMALL_KHZ else 0.5
    while khz / step > MOST_TICKS:
        step *= 2
    numbers = range(1, int(khz / step + 1e-6) + 1)
    return tuple(Tick(round(100 - n * step / khz * 100, 3), f"{n * step:g}") for n in numbers)
