"""The synthetic dawn chorus: what the truth says sings is there, and nothing else is."""

from __future__ import annotations

import json
import wave
from typing import TYPE_CHECKING

import numpy as np
import pytest

from scripts.chorus import CHICKADEE, PROGRAMME, SAMPLE_RATE, SECONDS, chorus, sing, tone, write

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def level(sound: NDArray[np.float64]) -> float:
    """Root mean square in dBFS."""
    return 20 * float(np.log10(np.sqrt(np.mean(sound**2))))


def between(start: float, end: float) -> slice:
    return slice(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE))


def test_it_is_a_minute_and_the_same_every_time() -> None:
    first = chorus()
    assert len(first) == SECONDS * SAMPLE_RATE
    assert np.array_equal(first, chorus())
    assert np.abs(first).max() < 0.6


def test_every_visit_is_loud_and_every_pause_is_quiet() -> None:
    sound = chorus()
    sung = np.zeros(len(sound), dtype=bool)
    for visit in PROGRAMME:
        assert 0 < visit.start < visit.end < SECONDS
        assert level(sound[between(visit.start, visit.end)]) > -30
        sung[between(visit.start, visit.end)] = True
    assert level(sound[~sung]) == pytest.approx(-60, abs=1)


def test_three_species_sing_and_two_of_them_at_once() -> None:
    assert {visit.song.common_name for visit in PROGRAMME} == {
        "Black-capped Chickadee",
        "Common Cuckoo",
        "Great Tit",
    }
    assert any(
        one.start < other.start < one.end
        for one in PROGRAMME
        for other in PROGRAMME
        if one.song is not other.song
    )


def test_a_note_has_its_pitch() -> None:
    note = CHICKADEE.notes[0]
    sound = tone(note, CHICKADEE.overtones)
    assert len(sound) == round(note.seconds * SAMPLE_RATE)
    loudest = np.argmax(np.abs(np.fft.rfft(sound))) * SAMPLE_RATE / len(sound)
    assert note.to_hz - 10 <= loudest <= note.from_hz + 10


def test_a_song_is_its_phrase_repeated() -> None:
    sound = sing(CHICKADEE, 3)
    once = len(sound) // 3
    assert once == pytest.approx(CHICKADEE.seconds * SAMPLE_RATE, abs=2)
    assert np.array_equal(sound[:once], sound[2 * once :])


def test_the_files_hold_the_sound_and_the_truth(tmp_path: Path) -> None:
    write(tmp_path / "new folder")
    with wave.open(str(tmp_path / "new folder" / "chorus.wav"), "rb") as recording:
        assert recording.getparams()[:4] == (1, 2, SAMPLE_RATE, SECONDS * SAMPLE_RATE)
        samples = np.frombuffer(recording.readframes(SECONDS * SAMPLE_RATE), dtype="<i2")
    assert np.abs(samples / 32767 - chorus()).max() < 1 / 32767
    truth = json.loads((tmp_path / "new folder" / "chorus.json").read_text(encoding="utf-8"))
    assert [song["common_name"] for song in truth] == [visit.song.common_name for visit in PROGRAMME]
    assert all(0 < song["start"] < song["end"] < SECONDS for song in truth)
