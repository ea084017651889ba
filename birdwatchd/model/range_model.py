"""The species range model of a bundle: which labels are to be expected where and when."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from birdwatchd.errors import BundleError
from birdwatchd.model.bundle import RANGE_MODEL, read_extra, refuse_reaching

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from birdwatchd.model.bundle import Card

WEEKS = 48


def load_range_model(path: Path, card: Card) -> Callable[[float, float, int], NDArray[np.float32]] | None:
    """The range model of the bundle at `path`, whose card is `card`; None when it has none.

    It takes latitude and longitude in degrees and the week, 1 to 48 (four a month), and returns occurrence in [0, 1],
    float32 (labels,). It holds BirdNET's 29 MB for as long as it is kept; drop it once the places and weeks are known.
    What it says of the labels in `Card.unranged` means nothing.

    Raises:
        BundleError: the bundle or its range model cannot be loaded, or does not fit the card.
    """
    content = read_extra(path, RANGE_MODEL)
    if content is None:
        return None
    import torch

    torch.set_num_threads(1)
    try:
        refuse_reaching(path, io.BytesIO(content))
        # Stored in half precision where the weights came so; computed in full.
        network = torch.jit.load(io.BytesIO(content), map_location="cpu").float().eval()  # type: ignore[no-untyped-call] # torch leaves it so
    except (RuntimeError, zipfile.BadZipFile) as error:
        raise BundleError(
            f"{path} has a range model that torch cannot load; build the bundle again"
        ) from error

    def occurrence(latitude: float, longitude: float, week: int) -> NDArray[np.float32]:
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180 and 1 <= week <= WEEKS):  # noqa: PLR2004 - the globe
            raise ValueError(f"no such place or week: {latitude}, {longitude}, week {week}")
        with torch.inference_mode():
            result: NDArray[np.float32] = network(torch.tensor([[latitude, longitude, float(week)]]))[
                0
            ].numpy()
        return result

    labels = len(card.labels)
    if occurrence(0.0, 0.0, 1).shape != (labels,):
        raise BundleError(
            f"{path} has a range model that does not fit its {labels} labels; build the bundle again"
        )
    return occurrence
