"""Where and when one recording was made, as far as anything tells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.audio.recorded_at import recorded_at
from birdwatchd.detection.species_range import Nowhere, SpeciesRange
from birdwatchd.model.range_model import WEEKS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from numpy.typing import NDArray

    from birdwatchd.analysis.sites import Site
    from birdwatchd.detection.species_range import Occurrence

    RangeModel = Callable[[float, float, int], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Scene:
    """The circumstances of one recording."""

    file: str
    site: str
    start: datetime | None
    """Aware, in the zone in which times are shown: the site's, else the one that the recorder wrote."""
    position: tuple[float, float] | None
    """Degrees north and east."""

    def time(self, seconds: float) -> datetime | None:
        """When the sound was made that is `seconds` into the file."""
        if self.start is None:
            return None
        return (self.start.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(self.start.tzinfo)

    def occurrence(self, range_model: RangeModel | None) -> Occurrence:
        """What the species range gate is to ask."""
        if range_model is None or self.position is None:
            return Nowhere()
        if self.start is None:
            return _WholeYear(range_model, *self.position)
        return SpeciesRange(range_model, *self.position)


def scene_of(path: Path, site: Site, start: datetime | None) -> Scene:
    """What is known of the recording `path`; a given `start` wins over its name and comments.

    The site's position wins over the one in the file's comments.
    """
    try:
        known = recorded_at(path, site.zone)
    except OSError:  # whoever opens it next will say what is wrong
        known = None
    start = start or (known.start if known else None)
    if start is not None and site.zone is not None:
        start = start.astimezone(site.zone)
    position = known.position if known else None
    if site.latitude is not None and site.longitude is not None:
        position = site.latitude, site.longitude
    return Scene(str(path), site.name, start, position)


class _WholeYear:
    """The species range of a recording that nothing dates: what may be heard there in any week."""

    def __init__(self, range_model: RangeModel, latitude: float, longitude: float) -> None:
        weeks = [range_model(latitude, longitude, week) for week in range(1, WEEKS + 1)]
        self._highest: NDArray[np.float32] = np.max(weeks, axis=0)  # (labels,)

    def on(self, day: date) -> NDArray[np.float32]:
        return self._highest
