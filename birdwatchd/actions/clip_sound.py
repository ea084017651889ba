"""A clip's sound on its way into a file: filtered and made louder where that is wished, and encoded.

Without a wish nothing is touched: what a 16 bit microphone delivered is in the file bit for bit.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import soundfile

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Format = Literal["flac", "wav", "ogg", "mp3", "aac", "opus"]

SUFFIXES: dict[Format, str] = {
    "flac": ".flac",
    "wav": ".wav",
    "ogg": ".ogg",
    "mp3": ".mp3",
    "aac": ".m4a",
    "opus": ".opus",
}
BY_FFMPEG: dict[Format, tuple[str, str]] = {
    "mp3": ("mp3", "libmp3lame"),
    "aac": ("ipod", "aac"),
    "opus": ("opus", "libopus"),
}
"""Container and codec, as ffmpeg calls them."""
BITRATE = "128k"

FULL_SCALE = 32768
MARGIN_SECONDS = 0.5
"""Mirrored sound at both ends while it is filtered, so that the filter does not ring there."""
STEEPNESS = 4
"""The order of the high-pass: 24 dB an octave."""
PEAK_DBFS = -1.0
"""No normalising goes beyond, unless the config says otherwise."""
MOST_GAIN_DB = 40.0
"""Nobody wants to hear the noise of a preamplifier at full volume."""

# ITU-R BS.1770-5, annex 1: the two filters of the K-weighting (b0 b1 b2, a1 a2), at 48 kHz, and the gates.
K_SHELF = (1.53512485958697, -2.69169618940638, 1.19839281085285), (-1.69065929318241, 0.73248077421585)
K_HIGH_PASS = (1.0, -2.0, 1.0), (-1.99004745483398, 0.99007225036621)
K_RATE = 48000
BLOCK_SECONDS, STEP_SECONDS = 0.4, 0.1
ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU = -70.0, -10.0
OFFSET_LU = -0.691


def high_pass(samples: NDArray[np.float32], rate: int, hertz: float) -> NDArray[np.float32]:
    """Without what lies below `hertz` (Butterworth's curve, 4th order). No sample moves: the filter has no phase."""

    def gain(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
        ratio = np.divide(frequencies, hertz) ** STEEPNESS
        return np.asarray(ratio / np.sqrt(1 + ratio**2))

    return _filtered(samples, rate, gain).astype(np.float32)


def loudness_lufs(samples: NDArray[np.float32], rate: int) -> float:
    """Integrated loudness after ITU-R BS.1770; -inf for silence. Full-scale 1 kHz has -3."""
    weighted = _filtered(samples, rate, _k_weighting)
    block, step = round(BLOCK_SECONDS * rate), round(STEP_SECONDS * rate)
    sums = np.concatenate(([0.0], np.cumsum(np.square(weighted))))
    starts = np.arange(0, max(1, len(weighted) - block + 1), step)
    stops = np.minimum(starts + block, len(weighted))
    power = (sums[stops] - sums[starts]) / block
    loud = power[power > _power(ABSOLUTE_GATE_LUFS)]
    if not len(loud):
        return -math.inf
    gate = loud.mean() * 10 ** (RELATIVE_GATE_LU / 10)
    return OFFSET_LU + 10 * math.log10(float(loud[loud > gate].mean()))


def gain_db(samples: NDArray[np.float32], rate: int, *, lufs: float | None, peak_dbfs: float | None) -> float:
    """What brings the sound to that loudness, but no peak above `peak_dbfs`; or, without a loudness, its peak there."""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak == 0 or (lufs is None and peak_dbfs is None):
        return 0.0
    room = (PEAK_DBFS if peak_dbfs is None else peak_dbfs) - 20 * math.log10(peak)
    if lufs is not None:
        loudness = loudness_lufs(samples, rate)
        room = min(room, lufs - loudness) if math.isfinite(loudness) else 0.0
    return min(room, MOST_GAIN_DB)


def to_pcm16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """The nearest 16 bit values."""
    scaled = np.rint(samples * np.float32(FULL_SCALE))
    return np.asarray(np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1), dtype=np.int16)


def encode(pcm: NDArray[np.int16], rate: int, form: Format) -> bytes:
    """A file of it.

    Raises:
        OSError: ffmpeg, which some formats need, is missing or failed.
    """
    if form in BY_FFMPEG:
        return _by_ffmpeg(pcm, rate, form)
    subtype = "VORBIS" if form == "ogg" else "PCM_16"
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, channels=1, format=form.upper(), subtype=subtype) as sound:
        # Second by second: libsndfile's OGG encoder puts a long array on the stack, and crashes.
        for first in range(0, len(pcm), rate):
            sound.write(pcm[first : first + rate])
    return file.getvalue()


def _by_ffmpeg(pcm: NDArray[np.int16], rate: int, form: Format) -> bytes:
    from pydub import AudioSegment
    from pydub.exceptions import CouldntEncodeError

    container, codec = BY_FFMPEG[form]
    segment = AudioSegment(data=pcm.tobytes(), sample_width=2, frame_rate=rate, channels=1)
    file = io.BytesIO()
    try:
        segment.export(file, format=container, codec=codec, bitrate=BITRATE)
    except FileNotFoundError:
        raise FileNotFoundError(f"{form} needs ffmpeg; install it, or write format: flac") from None
    except CouldntEncodeError as error:
        raise OSError(f"ffmpeg cannot write {form}: {str(error).strip().splitlines()[-1]}") from error
    return file.getvalue()


def _filtered(
    samples: NDArray[np.float32], rate: int, gain: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The sound with each frequency (Hz) multiplied by its gain; no sample moves."""
    margin = min(round(MARGIN_SECONDS * rate), len(samples) - 1)
    if margin < 1:
        return samples.astype(np.float64)
    padded = np.pad(samples.astype(np.float64), margin, mode="reflect")
    spectrum = np.fft.rfft(padded)
    spectrum *= gain(np.asarray(np.fft.rfftfreq(len(padded), 1 / rate), dtype=np.float64))
    return np.fft.irfft(spectrum, len(padded))[margin:-margin]


def _k_weighting(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    # Beyond what a rate of 48 kHz holds, the curve is flat.
    turn = np.exp(-2j * np.pi * np.minimum(frequencies, K_RATE / 2) / K_RATE)
    response = np.ones_like(turn)
    for (b0, b1, b2), (a1, a2) in (K_SHELF, K_HIGH_PASS):
        response *= (b0 + b1 * turn + b2 * turn**2) / (1 + a1 * turn + a2 * turn**2)
    return np.abs(response)


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - OFFSET_LU) / 10))
