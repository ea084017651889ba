"""A model bundle's card, and how it is read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from birdwatchd.domain import Label

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Card:
    """What a bundle says of itself."""

    name: str
    version: str
    labels: tuple[Label, ...]
    sample_rate: int
    input_seconds: float
    thresholds: dict[str, float]
    licence: str

    @property
    def input_samples(self) -> int:
        """Samples that `forward` takes at once."""
        return round(self.input_seconds * self.sample_rate)
