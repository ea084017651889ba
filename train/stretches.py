"""Where clips are cut from a recording. All times are seconds from its first sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Stretch = tuple[float, float]
"""From and to."""

LEAST_SHARE = 0.5
"""What is left at a recording's end is kept when it is at least this part of a clip."""


def tiles(start: float, end: float, seconds: float, step: float | None = None) -> list[Stretch]:
    """One clip after another, `step` apart (`seconds`, when None); the last one ends where the stretch ends."""
    step = step or seconds
    found = []
    count = 0
    while (at := start + count * step) + LEAST_SHARE * seconds <= end or (not count and at < end):
        found.append((at, min(at + seconds, end)))
        if at + seconds >= end:
            break
        count += 1
    return found


def around(stretches: Iterable[Stretch], seconds: float, length: float) -> list[Stretch]:
    """Clips of `seconds` with the stretches in their middle, where the recording's `length` allows.

    A stretch that a clip holds already needs no other, and no two clips overlap; a long one is cut into several.
    """
    clips: list[Stretch] = []
    for start, end in sorted(stretches):
        free = clips[-1][1] if clips else 0.0
        if end <= free:
            continue
        if end - start > seconds:
            clips += tiles(max(start, free), end, seconds)
            continue
        middle = (start + end) / 2
        first = max(free, min(middle - seconds / 2, length - seconds), 0.0)
        if length - first >= LEAST_SHARE * seconds or not clips:
            clips.append((first, min(first + seconds, length)))
    return clips
