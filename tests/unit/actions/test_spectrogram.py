"""The picture is one, shows what was heard where it was heard, and marks the detection."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from birdwatchd.actions.spectrogram import HEIGHT, LEFT, MARK, MISSING, TOP, WIDTH, Caption, picture, readable

if TYPE_CHECKING:
    from numpy.typing import NDArray

CAPTION = Caption("Great Tit (Parus major)  0.93", "garden  2026-05-09 06:42:10")


def drawn(
    samples: NDArray[np.float32],
    rate: int,
    call: tuple[float, float],
    gaps: tuple[tuple[float, float], ...] = (),
) -> NDArray[np.int16]:
    png = picture(samples, rate, call=call, gaps=gaps, caption=CAPTION)
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        image.load()
        return np.asarray(image.convert("RGB")).astype(np.int16)


def column(seconds: float, of: float) -> int:
    return LEFT + round(seconds / of * (WIDTH - 1))


def row(hertz: float, top: float = 15_000) -> int:
    return TOP + HEIGHT - round(hertz / top * HEIGHT)


def like(pixels: NDArray[np.int16], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(pixels - np.array(colour)).max(axis=-1) < 40)


@pytest.mark.parametrize(("rate", "top"), [(48000, 15_000), (96000, 15_000), (44100, 15_000), (16000, 8000)])
@pytest.mark.parametrize("seconds", [10.0, 90.0])
def test_a_tone_is_bright_at_its_place_and_nowhere_else(rate: int, top: float, seconds: float) -> None:
    at = np.arange(round(seconds * rate)) / rate
    sounding = (at > 0.3 * seconds) & (at < 0.5 * seconds)
    noise = np.random.default_rng(1).normal(0, 1e-4, len(at))
    samples = (noise + 0.2 * np.sin(2 * np.pi * 4000 * at) * sounding).astype(np.float32)
    pixels = drawn(samples, rate, (0.3 * seconds, 0.5 * seconds)).sum(axis=-1)
    x, y = column(0.4 * seconds, seconds), row(4000, top)
    assert pixels[y - 3 : y + 4, x].max() > 600
    assert pixels[y - 60 : y - 30, x].max() < 300
    assert pixels[y - 3 : y + 4, column(0.7 * seconds, seconds)].max() < 300
    assert pixels[y - 3 : y + 4, column(0.1 * seconds, seconds)].max() < 300


def test_the_detection_is_marked_where_it_lies() -> None:
    samples = np.random.default_rng(1).normal(0, 0.01, 480_000).astype(np.float32)
    pixels = drawn(samples, 48000, (3.0, 7.5))
    marked = np.flatnonzero(like(pixels[TOP - 9], MARK))
    assert (marked.min(), marked.max()) == (column(3.0, 10), column(7.5, 10))
    assert like(pixels[TOP : TOP + HEIGHT, column(3.0, 10)], MARK).mean() > 0.3
    assert not like(pixels[TOP : TOP + HEIGHT, column(5.0, 10)], MARK).any()


def test_a_detection_longer_than_its_clip_is_marked_as_far_as_it_goes() -> None:
    samples = np.zeros(48000, dtype=np.float32)
    marked = np.flatnonzero(like(drawn(samples, 48000, (-2.0, 5.0))[TOP - 9], MARK))
    assert (marked.min(), marked.max()) == (LEFT, LEFT + WIDTH - 1)


def test_a_gap_is_told() -> None:
    samples = np.random.default_rng(1).normal(0, 0.01, 480_000).astype(np.float32)
    pixels = drawn(samples, 48000, (3.0, 7.5), gaps=((8.5, 2.3), (9.9, 10.0)))
    for at in (8.5, 9.9):
        assert like(pixels[TOP : TOP + HEIGHT, column(at, 10)], MISSING).mean() > 0.9


@pytest.mark.parametrize("length", [1, 100, 2000])
def test_the_shortest_clips_are_drawn(length: int) -> None:
    drawn(np.full(length, 0.1, dtype=np.float32), 48000, (0.0, length / 48000))


def test_a_name_that_the_font_cannot_write_is_not_half_written() -> None:
    assert readable("Bläßhuhn") == "Bläßhuhn"
    assert readable("čáp bílý") == "cáp bílý"
    assert readable("骨顶鸡") == ""
