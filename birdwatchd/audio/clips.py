"""Clips: sound cut from a ring around a detection, sample for sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from birdwatchd.domain import Clip
from birdwatchd.errors import Lapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birdwatchd.audio.ring import Ring
    from birdwatchd.audio.source import Clock
    from birdwatchd.domain import Gap

Spans = tuple[tuple[int, int], ...]
"""Stretches of a source: first sample and one past the last."""

GONE = "the sound is no longer in memory"
NOT_YET = "the sound is not analysed yet"
UNHEARD = "part of it was never analysed, so that nobody knows whether a person speaks in it"

SAFETY_SECONDS = 0.25
"""The writer goes on while a clip is copied: so much of the oldest sound is left to it."""
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Sound:
    """One source's sound, and what is known of it at this moment. Safe to use on any thread."""

    source: str
    ring: Ring
    clock: Clock
    heard_to: int
    """Nothing more will be said of the sound below this sample."""
    voices: Spans
    """Where people speak."""
    unheard: Spans
    """Sound that was never analysed although people matter: too slow, or too short between two gaps."""


def cut(sound: Sound, first: int, last: int, before_seconds: float, after_seconds: float) -> Clip | str:
    """The samples `first` to `last` (exclusive), with so much before and after them as there is, up to the seconds asked for.

    Seconds are those of the clock: time that a gap took counts, so that nothing from long before comes along. What was
    not analysed stays out.

    Returns:
        The clip, or the reason why there is none, in words.
    """
    gaps = sound.ring.gaps
    rate = sound.ring.sample_rate
    earliest = _back(gaps, first, before_seconds, rate)
    stop = min(_forth(gaps, last, after_seconds, rate), sound.heard_to)
    for unheard_from, unheard_to in sound.unheard:
        if unheard_to <= first:
            earliest = max(earliest, unheard_to)
        elif unheard_from >= last:
            stop = min(stop, unheard_from)
        elif unheard_from < stop:
            return UNHEARD
    for _ in range(ATTEMPTS):
        start = max(earliest, _oldest_safe(sound.ring))
        if start >= min(last, sound.ring.written):
            return GONE
        if start >= stop:
            return NOT_YET
        try:
            samples = sound.ring.read(start, stop)
        except Lapped:
            continue
        return Clip(
            source=sound.source,
            start_sample=start,
            stop_sample=stop,
            start=sound.clock.at(start),
            sample_rate=rate,
            samples=samples,
            gaps=tuple(gap for gap in gaps if start < gap.index < stop),
            voice=any(spoke < stop and silent > start for spoke, silent in sound.voices),
        )
    return GONE


def _oldest_safe(ring: Ring) -> int:
    oldest = ring.oldest
    return oldest + round(SAFETY_SECONDS * ring.sample_rate) if oldest > ring.first else oldest


def _back(gaps: Sequence[Gap], first: int, seconds: float, rate: int) -> int:
    """The sample so many seconds before `first`."""
    at, left = first, seconds
    for gap in reversed(gaps):
        if gap.index > at:
            continue
        captured = (at - gap.index) / rate
        if captured >= left:
            break
        at, left = gap.index, left - captured - gap.seconds
        if left <= 0:
            return at
    return max(0, at - round(left * rate))


def _forth(gaps: Sequence[Gap], last: int, seconds: float, rate: int) -> int:
    """One past the sample so many seconds after `last`."""
    at, left = last, seconds
    for gap in gaps:
        if gap.index < at:
            continue
        captured = (gap.index - at) / rate
        if captured >= left:
            break
        at, left = gap.index, left - captured - gap.seconds
        if left <= 0:
            return at
    return at + round(left * rate)
