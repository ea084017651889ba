"""Which species may be expected at a place in a week of the year."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    import numpy as np
    from numpy.typing import NDArray


def week_of(day: date) -> int:
    """BirdNET's week, 1 to 48: four to a month, the last of which takes the days from the 22nd on."""
    return (day.month - 1) * 4 + min(4, (day.day - 1) // 7 + 1)


class Occurrence(Protocol):
    """What a detection needs to know of a place: how likely each label is there on a day."""

    def on(self, day: date) -> NDArray[np.float32] | None:
        """Float32 (labels,) in [0, 1], or None when the place or the range model is not known."""


class Nowhere:
    """No location, or a model without a range: everything may be expected."""

    def on(self, day: date) -> None:
        """Nothing is known."""


class SpeciesRange:
    """The range model asked about one place, once a week."""

    def __init__(
        self, model: Callable[[float, float, int], NDArray[np.float32]], latitude: float, longitude: float
    ) -> None:
        """`model` takes latitude, longitude and week to float32 (labels,)."""
        self._model = model
        self._place = latitude, longitude
        self._answer: tuple[int, NDArray[np.float32]] | None = None

    def on(self, day: date) -> NDArray[np.float32]:
        """Float32 (labels,): how likely each label is there in the week of `day`, 0 to 1."""
        week = week_of(day)
        if self._answer is None or self._answer[0] != week:
            self._answer = week, self._model(*self._place, week)
        return self._answer[1]
