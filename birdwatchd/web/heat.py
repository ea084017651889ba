"""Heat: counts as one of a few shades, and strips of them as drawings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SHADES = 5
"""From few to many; they are `--heat-1` and so on in birds.css."""


def shade(count: int, most: int) -> int:
    """0 for none, else 1 to `SHADES`: by the logarithm, as one wren among a thousand sparrows is worth seeing."""
    if count <= 0:
        return 0
    if most <= 1 or count >= most:
        return SHADES
    return 1 + int(math.log(count) / math.log(most) * SHADES)


def even_shade(count: int, most: int) -> int:
    """The same in even steps: for what is never far apart."""
    return min(SHADES, 1 + count * SHADES // most) if count > 0 else 0


def strip(counts: Sequence[int], most: int) -> list[tuple[int, str]]:
    """The path of an SVG for each shade that occurs, in cells of 1 by 1 from the left, with a small gap between them."""
    cells: dict[int, list[str]] = {}
    for place, count in enumerate(counts):
        if count > 0:
            cells.setdefault(shade(count, most), []).append(f"M{place}.05 0h.9v1h-.9z")
    return [(level, "".join(paths)) for level, paths in sorted(cells.items())]
