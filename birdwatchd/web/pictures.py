"""Pictures of sound: a spectrogram of any stretch, band and size, in colours for dark and for light surroundings."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from PIL import Image

from birdwatchd.actions.spectrogram import COLOURS, FRAME_SECONDS, TOP_HZ, levels, shades
from birdwatchd.actions.spectrogram import table as table_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Colours = Literal["night", "paper"]

PAPER = (
    (0.0, (255, 255, 255)),
    (0.25, (222, 230, 240)),
    (0.45, (150, 184, 214)),
    (0.65, (66, 124, 180)),
    (0.82, (22, 68, 128)),
    (1.0, (6, 16, 40)),
)
"""From silence to loud: lightness falls all the way, for a page that is read in the sun."""
_MAPS = {"night": COLOURS, "paper": PAPER}
MOST_WIDTH, MOST_HEIGHT = 4000, 1200
_LEAST_BINS = 100
"""Of a band that is looked at closely: longer spectra tell its tones apart."""
_LONGEST_FRAME_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class View:
    """What of a sound is looked at, and how large."""

    begin: float
    """Seconds, as `end`."""
    end: float
    low_hz: float = 0.0
    high_hz: float = TOP_HZ
    width: int = 1000
    height: int = 360
    """Pixels."""


def table(colours: Colours) -> NDArray[np.uint8]:
    """A colour for each shade, (256, 3)."""
    return table_of(_MAPS[colours])


def fitted(view: View, seconds: float, rate: int) -> View:
    """The view, within what a sound of so many seconds at `rate` Hz has to show.

    Raises:
        ValueError: nothing of it does; the message says why.
    """
    end = min(view.end, seconds)
    high_hz = min(view.high_hz, rate / 2)
    if not 0 <= view.begin < end:
        raise ValueError(
            f"the sound has {seconds:.3f} s, so nothing lies from {view.begin:g} to {view.end:g} s"
        )
    if not 0 <= view.low_hz < high_hz:
        raise ValueError(
            f"the sound reaches from 0 to {rate / 2:g} Hz, so nothing lies from {view.low_hz:g} to {view.high_hz:g} Hz"
        )
    return View(view.begin, end, view.low_hz, high_hz, view.width, view.height)


def spectrogram(samples: NDArray[np.float32], rate: int, view: View) -> NDArray[np.uint8]:
    """How loud it is, 0 to 255, (height, width), the lowest frequency last; linear in time and frequency.

    Args:
        samples: float32 (n,).
        rate: Hz.
        view: as `fitted` gives it.
    """
    first = min(round(view.begin * rate), len(samples) - 1)
    last = min(max(first + 1, round(view.end * rate)), len(samples))
    frame = min(max(FRAME_SECONDS, _LEAST_BINS / (view.high_hz - view.low_hz)), _LONGEST_FRAME_SECONDS)
    found = levels(
        samples,
        rate,
        view.width,
        (view.low_hz, view.high_hz),
        part=(first, last),
        frame_seconds=frame,
    )
    return shades(found, (view.width, view.height))


def png(samples: NDArray[np.float32], rate: int, view: View, colours: Colours) -> bytes:
    """The picture itself, without axes: its left edge is `view.begin`, its upper one `view.high_hz`."""
    image = Image.fromarray(spectrogram(samples, rate, view))
    image.putpalette(table(colours).tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
