"""Suggested thresholds, as the lines to put into the config."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from birdwatchd.web.words import many, percent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from birdwatchd.store.figures import OfSpecies


def config_lines(species: Iterable[OfSpecies]) -> str:
    """Those of species whose threshold should be another; a comment where too few were judged. Empty when there are none."""
    lines = []
    for one in species:
        found = one.suggestion
        if found is None or found.threshold is None or found.threshold == found.current:
            continue
        name = yaml.safe_dump(one.scientific_name, allow_unicode=True, width=1000).splitlines()[0]
        low, high = found.above.interval
        why = f"{found.above.right} of {found.above.judged} right ({percent(low)} to {percent(high)})"
        if found.lost:
            why += f", {many(found.lost, 'right one')} less"
        line = f"    {name}: {found.threshold:g}  # {one.common_name}: {why}"
        lines.append(f"    #{line[3:]}; too few to be sure" if found.above.is_few else line)
    return "\n".join(["deciding:", "  thresholds:", *lines, ""]) if lines else ""
