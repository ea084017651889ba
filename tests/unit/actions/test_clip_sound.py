"""What goes into a file is what was heard, unless the config wishes otherwise."""

from __future__ import annotations

import io
import math
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from birdwatchd.actions.clip_sound import (
    SUFFIXES,
    Format,
    encode,
    gain_db,
    high_pass,
    loudness_lufs,
    to_pcm16,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 48000
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def tone(hertz: float, seconds: float = 3.0, level: float = 0.5, rate: int = RATE) -> NDArray[np.float32]:
    at = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * at)).astype(np.float32)


def db(samples: NDArray[Any]) -> float:
    return 10 * math.log10(float(np.mean(np.square(samples, dtype=np.float64))))


def test_every_16_bit_value_stays_what_it_was() -> None:
    every = np.arange(-32768, 32768).astype(np.int16)
    assert np.array_equal(to_pcm16((every / 32768).astype(np.float32)), every)
    assert to_pcm16(np.array([-2, 2, 1], dtype=np.float32)).tolist() == [-32768, 32767, 32767]


@pytest.mark.parametrize("form", ["flac", "wav"])
def test_flac_and_wav_lose_nothing(form: Format) -> None:
    pcm = np.random.default_rng(1).integers(-32768, 32767, 2 * RATE + 7).astype(np.int16)
    back, rate = soundfile.read(io.BytesIO(encode(pcm, RATE, form)), dtype="int16")
    assert rate == RATE
    assert np.array_equal(back, pcm)


def test_ogg_of_two_minutes_does_not_crash() -> None:
    pcm = to_pcm16(tone(3000, 120))
    back, _ = soundfile.read(io.BytesIO(encode(pcm, RATE, "ogg")))
    assert len(back) == len(pcm)
    assert db(back) == pytest.approx(db(pcm / 32768), abs=0.5)


@needs_ffmpeg
@pytest.mark.parametrize("form", ["mp3", "aac", "opus"])
@pytest.mark.parametrize("rate", [48000, 44100, 96000])
def test_what_ffmpeg_writes_it_also_reads(form: Format, rate: int, tmp_path: Path) -> None:
    path = tmp_path / f"clip{SUFFIXES[form]}"
    path.write_bytes(encode(to_pcm16(tone(3000, rate=rate)), rate, form))
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-ac", "1", "-ar", "48000", "-"]
    back = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, dtype=np.float32)
    assert len(back) / 48000 == pytest.approx(3, abs=0.1)
    assert db(back[RATE : 2 * RATE]) == pytest.approx(db(tone(3000)), abs=0.5)


def test_without_ffmpeg_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("pydub.AudioSegment.converter", "ffmpeg")
    with pytest.raises(OSError, match="mp3 needs ffmpeg; install it, or write format: flac"):
        encode(to_pcm16(tone(3000)), RATE, "mp3")


def test_high_pass_takes_out_the_wind_and_moves_nothing() -> None:
    wind, bird = tone(60), tone(4000)
    filtered = high_pass(wind + bird, RATE, 400)
    middle = slice(RATE, 2 * RATE)
    assert db(high_pass(wind, RATE, 400)[middle]) < db(wind) - 60
    assert np.abs(filtered - bird)[middle].max() < 0.001
    assert db(high_pass(tone(400), RATE, 400)[middle]) == pytest.approx(db(tone(400)) - 3, abs=0.1)


@pytest.mark.parametrize("length", [0, 1, 2, 50])
def test_the_shortest_sounds_are_no_trouble(length: int) -> None:
    few = np.full(length, 0.1, dtype=np.float32)
    assert len(high_pass(few, RATE, 400)) == length
    assert gain_db(few, RATE, lufs=-23, peak_dbfs=None) <= 40


@pytest.mark.parametrize("rate", [32000, 44100, 48000, 96000])
def test_loudness_is_that_of_the_recommendation(rate: int) -> None:
    """ITU-R BS.1770: a 997 Hz sine of full scale in one channel has -3.01 LKFS. EBU Tech 3341, case 3: the gates."""
    assert loudness_lufs(tone(997, level=1.0, rate=rate), rate) == pytest.approx(-3.01, abs=0.1)
    parts = [
        tone(1000, seconds, 10 ** (level / 20), rate) for seconds, level in ((10, -36), (60, -23), (10, -36))
    ]
    # Case 3 is stereo, in which both channels add 3 LU; here there is one.
    assert loudness_lufs(np.concatenate(parts), rate) == pytest.approx(-26, abs=0.1)
    assert loudness_lufs(np.zeros(rate, dtype=np.float32), rate) == -math.inf


def test_loudness_is_what_ffmpeg_measures() -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 0.05, 8 * RATE).astype(np.float32)
    noise[3 * RATE : 5 * RATE] *= 5
    command = [
        "ffmpeg",
        "-nostats",
        "-f",
        "f32le",
        "-ar",
        str(RATE),
        "-ac",
        "1",
        "-i",
        "-",
        "-af",
        "ebur128",
        "-f",
        "null",
        "-",
    ]
    said = subprocess.run(command, input=noise.tobytes(), capture_output=True, check=True).stderr.decode()
    measured = float(said.split("Integrated loudness:")[1].split("I:")[1].split("LUFS")[0])
    assert loudness_lufs(noise, RATE) == pytest.approx(measured, abs=0.2)


def test_gain_reaches_the_loudness_but_no_peak_goes_over() -> None:
    quiet = tone(1000, level=0.01)
    gain = gain_db(quiet, RATE, lufs=-23, peak_dbfs=None)
    assert loudness_lufs(quiet * np.float32(10 ** (gain / 20)), RATE) == pytest.approx(-23, abs=0.05)
    click = quiet.copy()
    click[RATE] = 0.5
    assert gain_db(click, RATE, lufs=-23, peak_dbfs=None) == pytest.approx(-1 - 20 * math.log10(0.5))
    assert gain_db(click, RATE, lufs=-23, peak_dbfs=-10) == pytest.approx(-10 - 20 * math.log10(0.5))
    assert gain_db(click, RATE, lufs=None, peak_dbfs=-3) == pytest.approx(-3 - 20 * math.log10(0.5))
    assert gain_db(quiet, RATE, lufs=None, peak_dbfs=None) == 0
    assert gain_db(np.zeros(RATE, dtype=np.float32), RATE, lufs=-23, peak_dbfs=-1) == 0
    assert gain_db(tone(1000, level=1e-6), RATE, lufs=None, peak_dbfs=0) == 40
