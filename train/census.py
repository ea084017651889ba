"""How many clips, recordings and hours each class has, and in which part."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from rich.table import Table

from birdwatchd.times import show_length
from train.manifest import SPLITS
from train.parts import part_of
from train.splitting import NOTHING, group_of, species_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from train.inspection import Inspected


def census(clips: Sequence[Inspected]) -> Table:
    """A line for each class, and one for all. Clips with several labels count in each of their classes."""
    parts = in_order({part_of(one.row) for one in clips})
    table = Table("Label", box=None, pad_edge=False)
    for column in ("Clips", "Recordings", "Length", *(part or "no part" for part in parts)):
        table.add_column(column, justify="right")
    classes: dict[str, list[Inspected]] = defaultdict(list)
    for one in clips:
        for species in species_of(one.row):
            classes[species].append(one)
    for species in sorted(classes, key=lambda name: (name == NOTHING, name)):
        table.add_row(species or "(nothing)", *_cells(classes[species], parts))
    table.add_section()
    table.add_row("all", *_cells(clips, parts))
    return table


def in_order(parts: Iterable[str]) -> list[str]:
    """Splits in the order of their use, then folds in that of their numbers."""

    def place(part: str) -> tuple[int, int]:
        number = part.removeprefix("fold ")
        return (
            SPLITS.index(part) if part in SPLITS else len(SPLITS),
            int(number) if number.isdecimal() else 0,
        )

    return sorted(parts, key=place)


def several_rates(clips: Sequence[Inspected]) -> list[str]:
    """A sentence when not all clips have one sample rate."""
    rates = Counter(one.sample_rate for one in clips)
    if len(rates) == 1:
        return []
    listed = ", ".join(f"{rate} Hz ({rates[rate]})" for rate in sorted(rates))
    sentence = (
        f"the clips have several sample rates: {listed}. All are brought to the model's, but nothing above "
        f"{min(rates) / 2000:g} kHz is in the slowest: no class should consist of those alone"
    )
    return [sentence]


def _cells(clips: Sequence[Inspected], parts: Sequence[str]) -> list[str]:
    within = Counter(part_of(one.row) for one in clips)
    groups = {group_of(one.row) for one in clips}
    length = show_length(sum(one.seconds for one in clips))
    return [str(len(clips)), str(len(groups)), length, *(str(within[part]) for part in parts)]
