"""A picture of a clip: what was heard, and where the detection lies in it."""

from __future__ import annotations

import io
import math
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WIDTH, HEIGHT = 1000, 360
"""Of the plot, in pixels."""
LEFT, TOP, RIGHT, BOTTOM = 64, 64, 24, 52
TOP_HZ = 15_000.0
FRAME_SECONDS = 0.0213
"""1024 samples at 48 kHz."""
RANGE_DB = 65.0
"""From the brightest to black."""
COLOURS = (
    (0.0, (4, 6, 20)),
    (0.25, (38, 24, 92)),
    (0.45, (120, 32, 118)),
    (0.65, (206, 66, 84)),
    (0.82, (246, 146, 62)),
    (1.0, (252, 244, 190)),
)
"""From silence to loud: lightness rises all the way, so that it reads in grey too."""
PAPER, INK, FAINT = (18, 20, 28), (236, 238, 244), (150, 156, 170)
MARK, MISSING = (110, 231, 183), (96, 200, 255)
LINE = 1


@dataclass(frozen=True, slots=True)
class Caption:
    """What is written above; the built-in font has the letters of western Europe, see `readable`."""

    title: str
    subtitle: str


def picture(
    samples: NDArray[np.float32],
    rate: int,
    *,
    call: tuple[float, float],
    gaps: Sequence[tuple[float, float]] = (),
    caption: Caption,
) -> bytes:
    """A PNG of the sound, float32 (n,), linear up to 15 kHz.

    Args:
        samples: the clip.
        rate: Hz.
        call: where the detection begins and ends in it, seconds.
        gaps: where something is missing, and how much of it, seconds.
        caption: what is written above.
    """
    top_hz = min(TOP_HZ, rate / 2)
    grey = shades(levels(samples, rate, WIDTH, (0.0, top_hz)), (WIDTH, HEIGHT))
    plot = Image.fromarray(table(COLOURS)[grey])
    image = Image.new("RGB", (LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM), PAPER)
    image.paste(plot, (LEFT, TOP))
    draw = ImageDraw.Draw(image)
    seconds = len(samples) / rate
    _draw_axes(draw, seconds, top_hz)
    _draw_gaps(draw, gaps, seconds)
    _draw_call(draw, call, seconds)
    draw.text((LEFT, 10), caption.title, INK, _font(20))
    draw.text((LEFT + WIDTH, 14), caption.subtitle, FAINT, _font(15), anchor="ra")
    file = io.BytesIO()
    image.quantize(255, dither=Image.Dither.NONE).save(file, "PNG")
    return file.getvalue()


def levels(
    samples: NDArray[np.float32],
    rate: int,
    columns: int,
    band: tuple[float, float],
    *,
    part: tuple[int, int] | None = None,
    frame_seconds: float = FRAME_SECONDS,
) -> NDArray[np.float64]:
    """Decibels, (bins, columns), the lowest frequency last.

    Args:
        samples: float32 (n,).
        rate: Hz.
        columns: how many are wanted; each is the mean of all sound that lies in it.
        band: the lowest and the highest frequency, Hz.
        part: the first sample and one past the last; all of them when left out.
        frame_seconds: how much sound one spectrum is of, to the next power of two in samples.
    """
    first, last = part or (0, len(samples))
    length = 1 << round(math.log2(frame_seconds * rate))
    lowest = min(int(band[0] / rate * length), length // 2 - 1)
    highest = max(lowest + 2, math.ceil(band[1] / rate * length))
    padded = np.pad(samples, length // 2)
    # As many frames as columns, or several a column when they would not meet.
    per_column = math.ceil((last - first) / columns / (length / 2)) or 1
    starts = np.linspace(first, last - 1, columns * per_column).astype(np.int64)  # (frames,)
    window = np.hanning(length).astype(np.float32)
    power = np.empty((columns, highest - lowest))  # (columns, bins)
    several = max(1, 1000 // per_column)
    for column in range(0, columns, several):  # a few megabytes at a time
        some = starts[column * per_column : (column + several) * per_column, None]
        frames = padded[some + np.arange(length)] * window  # (frames, length)
        found = np.abs(np.fft.rfft(frames))[:, lowest:highest] ** 2  # (frames, bins)
        power[column : column + several] = found.reshape(-1, per_column, highest - lowest).mean(axis=1)
    return np.asarray(10 * np.log10(power.T[::-1] + 1e-12))


def shades(decibels: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    """What `levels` gave as grey, 0 to 255, (height, width); `size` is (width, height)."""
    loudest = float(np.percentile(decibels, 99.9))
    quietest = max(loudest - RANGE_DB, float(np.percentile(decibels, 20)))
    shade = np.clip((decibels - quietest) / max(loudest - quietest, 20.0), 0, 1)
    grey = Image.fromarray((shade * 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(grey)


def table(colours: Sequence[tuple[float, tuple[int, int, int]]]) -> NDArray[np.uint8]:
    """A colour for each grey, (256, 3)."""
    positions = [position * 255 for position, _ in colours]
    parts = [
        np.interp(np.arange(256), positions, [colour[part] for _, colour in colours]) for part in range(3)
    ]
    return np.stack(parts, axis=1).astype(np.uint8)


def _draw_axes(draw: ImageDraw.ImageDraw, seconds: float, top_hz: float) -> None:
    font = _font(14)
    bottom = TOP + HEIGHT
    step_khz = 3 if top_hz > 9000 else 1 if top_hz > 2500 else 0.5  # noqa: PLR2004 - what leaves room for labels
    for number in range(int(top_hz / 1000 / step_khz) + 1):
        khz = number * step_khz
        y = bottom - round(khz * 1000 / top_hz * HEIGHT)
        draw.line((LEFT - 6, y, LEFT - 1, y), FAINT)
        draw.text((LEFT - 10, y), f"{khz:g}", INK, font, anchor="rm")
    draw.text((10, TOP + HEIGHT / 2), "kHz", FAINT, font, anchor="lm")
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 600) if seconds / step <= 15)  # noqa: PLR2004
    for number in range(int(seconds / step + 1e-6) + 1):
        x = LEFT + round(number * step / seconds * (WIDTH - 1))
        draw.line((x, bottom, x, bottom + 5), FAINT)
        draw.text((x, bottom + 9), f"{number * step:g}", INK, font, anchor="ma")
    draw.text((LEFT + WIDTH / 2, bottom + 30), "s", FAINT, font, anchor="ma")
    draw.rectangle((LEFT - 1, TOP - 1, LEFT + WIDTH, bottom), outline=FAINT)


def _draw_call(draw: ImageDraw.ImageDraw, call: tuple[float, float], seconds: float) -> None:
    """A bar above the plot, and dashed lines down its sides."""
    first, last = (LEFT + round(min(max(at, 0), seconds) / seconds * (WIDTH - 1)) for at in call)
    draw.rectangle((first, TOP - 12, max(last, first + 2), TOP - 6), MARK)
    for x in (first, last):
        for y in range(TOP, TOP + HEIGHT, 12):
            draw.line((x, y, x, min(y + 6, TOP + HEIGHT - 1)), MARK, LINE)


def _draw_gaps(draw: ImageDraw.ImageDraw, gaps: Sequence[tuple[float, float]], seconds: float) -> None:
    for at, missing in gaps:
        x = LEFT + round(at / seconds * (WIDTH - 1))
        draw.line((x, TOP, x, TOP + HEIGHT - 1), MISSING, 2)
        anchor = "ra" if x > LEFT + WIDTH - 120 else "la"
        words = f"{missing:.1f} s missing"
        draw.text((x + (-6 if anchor == "ra" else 6), TOP + 6), words, MISSING, _font(13), anchor=anchor)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def readable(text: str) -> str:
    """The text in signs that the built-in font has; empty when that would not be the same word any more."""
    known = 0x100
    plain = "".join(sign if ord(sign) < known else unicodedata.normalize("NFKD", sign)[0] for sign in text)
    return plain if all(ord(sign) < known for sign in plain) else ""
