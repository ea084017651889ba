from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from birdwatchd.errors import RecordingError
from train.manifest import Row
from train.segments import segments

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 8000


def recording(path: Path, seconds: float) -> NDArray[np.float32]:
    """A sound of which every sample is another; returned as it is read."""
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, round(seconds * RATE)).astype(np.float32)
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    return samples


def cut(row: Row, *, hop: float = 1.0) -> list[tuple[float, NDArray[np.float32]]]:
    return list(segments(row, sample_rate=RATE, seconds=2.0, hop_seconds=hop))


def test_segments_follow_the_hop_and_the_last_ends_with_the_sound(tmp_path: Path) -> None:
    sound = recording(tmp_path / "a.wav", 13.2)  # longer than a block
    found = cut(Row(tmp_path / "a.wav", ()))
    assert [start for start, _ in found] == [*map(float, range(12)), pytest.approx(11.2)]
    for start, samples in found[:12]:
        np.testing.assert_array_equal(samples, sound[round(start * RATE) :][: 2 * RATE])
    np.testing.assert_array_equal(found[12][1], sound[-2 * RATE :])


def test_less_than_half_a_segment_is_left_out(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav", 3.9)
    assert [start for start, _ in cut(Row(tmp_path / "a.wav", ()), hop=2.0)] == pytest.approx([0.0, 1.9])
    assert [start for start, _ in cut(Row(tmp_path / "a.wav", (), end=2.9), hop=2.0)] == [0.0]


def test_a_clip_however_short_has_one(tmp_path: Path) -> None:
    sound = recording(tmp_path / "a.wav", 0.3)
    ((start, samples),) = cut(Row(tmp_path / "a.wav", ()))
    assert start == 0
    np.testing.assert_array_equal(samples[: len(sound)], sound)
    assert not samples[len(sound) :].any()


def test_no_segment_is_given_twice(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav", 4.0)
    assert [start for start, _ in cut(Row(tmp_path / "a.wav", ()))] == [0.0, 1.0, 2.0]


def test_only_the_stretch_is_heard(tmp_path: Path) -> None:
    sound = recording(tmp_path / "a.wav", 20)
    found = cut(Row(tmp_path / "a.wav", (), start=3.5, end=15.5), hop=2.0)
    assert [start for start, _ in found] == [3.5, 5.5, 7.5, 9.5, 11.5, 13.5]
    np.testing.assert_array_equal(found[-1][1], sound[round(13.5 * RATE) : round(15.5 * RATE)])


def test_segments_may_lie_apart(tmp_path: Path) -> None:
    sound = recording(tmp_path / "a.wav", 21)
    found = cut(Row(tmp_path / "a.wav", ()), hop=9.0)
    assert [start for start, _ in found] == [0.0, 9.0, 18.0]
    np.testing.assert_array_equal(found[2][1], sound[18 * RATE : 20 * RATE])


def test_other_rates_and_channels_become_the_models(tmp_path: Path) -> None:
    time = np.arange(44100 * 2) / 44100
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, np.zeros_like(tone)], axis=1), 44100)
    ((_, samples),) = cut(Row(tmp_path / "a.wav", ()), hop=2.0)
    expected = np.sin(2 * np.pi * 440 * np.arange(RATE * 2) / RATE) / 2
    assert samples.shape == (2 * RATE,)
    np.testing.assert_allclose(samples[200:-200], expected[200:-200], atol=1e-3)


def test_a_stretch_behind_the_end_is_refused(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav", 2)
    with pytest.raises(RecordingError, match="no sound from 5 s on"):
        cut(Row(tmp_path / "a.wav", (), start=5.0))
