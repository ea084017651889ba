"""A spectrogram shows what was heard where it was heard, at any scale, in colours that can be read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from birdwatchd.web.pictures import View, fitted, png, spectrogram, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from birdwatchd.web.pictures import Colours

RATE = 48000


def tone(hertz: float, seconds: float = 6.0, since: float = 2.0, until: float = 3.0) -> NDArray[np.float32]:
    """Faint noise, with a tone in the middle."""
    at = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(1).normal(0, 1e-4, len(at))
    sounding = (at > since) & (at < until)
    return (noise + 0.2 * np.sin(2 * np.pi * hertz * at) * sounding).astype(np.float32)


@pytest.mark.parametrize(
    "view",
    [
        View(0, 6, 0, 15_000, 600, 300),
        View(1.5, 3.5, 0, 8000, 300, 900),
        View(0, 6, 3000, 5000, 2000, 64),
        View(2.2, 2.3, 3900, 4100, 64, 64),
    ],
)
def test_a_tone_is_at_its_place_at_every_scale(view: View) -> None:
    shown = spectrogram(tone(4000), RATE, view)
    assert shown.shape == (view.height, view.width)
    middle = round((min(2.5, view.end) - view.begin) / (view.end - view.begin) * view.width) - 1
    row = round((view.high_hz - 4000) / (view.high_hz - view.low_hz) * view.height)
    assert shown[row - 3 : row + 4, middle].max() > 230
    if view.high_hz - view.low_hz > 1000:
        assert shown[: max(1, row - view.height // 5), middle].max() < 130
    if view.begin < 1.8:
        quiet = round((1.8 - view.begin) / (view.end - view.begin) * view.width) - 1
        assert shown[row - 3 : row + 4, quiet].max() < 130


def test_a_short_call_is_seen_however_much_lies_in_a_column() -> None:
    shown = spectrogram(tone(4000, 60, 30.6, 30.8), RATE, View(0, 60, width=60, height=150))
    row = round((15_000 - 4000) / 100)
    assert shown[row - 3 : row + 4, 30].max() > 200
    assert shown[row - 3 : row + 4, 40].max() < 130


def test_what_lies_outside_of_the_sound_is_not_shown() -> None:
    assert fitted(View(1, 99, 0, 99_000), 6.0, RATE) == View(1, 6, 0, 24_000)
    for view, why in (
        (View(7, 8), "the sound has 6.000 s, so nothing lies from 7 to 8 s"),
        (View(3, 3), "the sound has 6.000 s, so nothing lies from 3 to 3 s"),
        (
            View(0, 6, 30_000, 40_000),
            "the sound reaches from 0 to 24000 Hz, so nothing lies from 30000 to 40000 Hz",
        ),
        (View(0, float("nan")), "nothing lies from 0 to nan s"),
    ):
        with pytest.raises(ValueError, match=why):
            fitted(view, 6.0, RATE)


@pytest.mark.parametrize("length", [1, 100, 2000])
def test_the_shortest_sounds_are_drawn(length: int) -> None:
    samples = np.full(length, 0.1, dtype=np.float32)
    shown = spectrogram(samples, RATE, fitted(View(0, 9, width=50, height=40), length / RATE, RATE))
    assert shown.shape == (40, 50)


@pytest.mark.parametrize("colours", ["night", "paper"])
def test_the_louder_the_further_from_the_ground_in_grey_too(colours: Colours) -> None:
    # Rec. 709: how light a colour looks.
    light = table(colours).astype(float) @ (0.2126, 0.7152, 0.0722)
    steps = np.diff(light if colours == "night" else -light)
    assert steps.min() >= -0.5
    assert abs(light[-1] - light[0]) > 200


@pytest.mark.parametrize("colours", ["night", "paper"])
def test_the_picture_is_a_png_of_the_size_that_was_asked_for(colours: Colours) -> None:
    file = png(tone(4000), RATE, View(0, 6, width=320, height=120), colours)
    with Image.open(io.BytesIO(file)) as image:
        assert (image.format, image.size) == ("PNG", (320, 120))
        shown = np.asarray(image.convert("RGB"))
    ground = table(colours)[0]
    assert np.abs(shown[10, 20].astype(int) - ground).max() < 60
