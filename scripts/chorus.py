"""Synthesise one minute of dawn chorus, and the truth about it: what sings, from when to when.

    python scripts/chorus.py FOLDER

writes FOLDER/chorus.wav (48 kHz, mono, 16 bit) and FOLDER/chorus.json. No recording is used: every note is a sine
sweep with two overtones. The pitches and lengths were found by a random search for what BirdNET takes for the species;
the song's shape (two falling whistles, a see-saw, a falling third) is the bird's own.
"""

from __future__ import annotations

import json
import sys
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_RATE = 48_000
SECONDS = 60
PEAK = 0.25  # of full scale: a bird near the microphone
AIR = 0.001  # root mean square of the background, -60 dBFS


@dataclass(frozen=True)
class Note:
    """A sweep from one pitch to another, with the silence after it."""

    from_hz: float
    to_hz: float
    seconds: float
    pause_seconds: float


@dataclass(frozen=True)
class Song:
    """Notes that a species repeats. `overtones` are the amplitudes of the second and third harmonic."""

    scientific_name: str
    common_name: str
    notes: tuple[Note, ...]
    overtones: tuple[float, float]

    @property
    def seconds(self) -> float:
        """The length of one phrase with its pauses."""
        return sum(note.seconds + note.pause_seconds for note in self.notes)


@dataclass(frozen=True)
class Visit:
    """A bird that comes at `start` (seconds) and sings its phrase so many times."""

    song: Song
    start: float
    phrases: int

    @property
    def end(self) -> float:
        """When its last note ends, in seconds."""
        return self.start + self.phrases * self.song.seconds - self.song.notes[-1].pause_seconds


CHICKADEE = Song(
    "Poecile atricapillus",
    "Black-capped Chickadee",
    (Note(4000, 3900, 0.4, 0.1), Note(3450, 3400, 0.4, 1.2)),
    (0.12, 0.05),
)
GREAT_TIT = Song(
    "Parus major",
    "Great Tit",
    (Note(4055, 4135, 0.146, 0.052), Note(2665, 2628, 0.182, 0.095)),
    (0.177, 0.143),
)
CUCKOO = Song(
    "Cuculus canorus",
    "Common Cuckoo",
    (Note(689, 665, 0.14, 0.18), Note(539, 508, 0.325, 0.575)),
    (0.003, 0.025),
)

PROGRAMME = (
    Visit(CHICKADEE, 5.0, 5),
    Visit(GREAT_TIT, 22.0, 18),
    Visit(CUCKOO, 38.0, 14),
    Visit(CHICKADEE, 45.0, 5),  # a duet: both are to be heard
)


def tone(note: Note, overtones: tuple[float, float]) -> NDArray[np.float64]:
    """One note without its pause, float64 (samples,), swelling and fading, at most about 1."""
    progress = np.arange(round(note.seconds * SAMPLE_RATE)) / (note.seconds * SAMPLE_RATE)
    hertz = note.from_hz * (note.to_hz / note.from_hz) ** progress
    phase = 2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE
    sound = np.sin(phase) + overtones[0] * np.sin(2 * phase) + overtones[1] * np.sin(3 * phase)
    return np.asarray(sound * np.sqrt(np.sin(np.pi * progress)), dtype=np.float64)


def sing(song: Song, phrases: int) -> NDArray[np.float64]:
    """The phrase so many times, float64 (samples,) with peak 1."""
    phrase = np.concatenate(
        [
            part
            for note in song.notes
            for part in (tone(note, song.overtones), np.zeros(round(note.pause_seconds * SAMPLE_RATE)))
        ]
    )
    sound = np.tile(phrase, phrases)
    return np.asarray(sound / np.abs(sound).max(), dtype=np.float64)


def air(samples: int) -> NDArray[np.float64]:
    """A quiet garden, float64 (samples,): noise with as much power in every octave, the same on every call."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(samples))
    spectrum[0] = 0
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    noise = np.fft.irfft(spectrum, samples)
    return np.asarray(noise * AIR / noise.std(), dtype=np.float64)


def chorus(programme: tuple[Visit, ...] = PROGRAMME) -> NDArray[np.float64]:
    """The whole minute, float64 (SECONDS * SAMPLE_RATE,)."""
    sound = air(SECONDS * SAMPLE_RATE)
    for visit in programme:
        song = PEAK * sing(visit.song, visit.phrases)
        at = round(visit.start * SAMPLE_RATE)
        sound[at : at + len(song)] += song
    return sound


def write(folder: Path) -> None:
    """Write chorus.wav and chorus.json into `folder`, which is made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    with wave.open(str(folder / "chorus.wav"), "wb") as recording:
        recording.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        recording.writeframes(np.round(chorus() * 32767).astype("<i2").tobytes())
    truth = [
        {
            "scientific_name": visit.song.scientific_name,
            "common_name": visit.song.common_name,
            "start": round(visit.start, 2),
            "end": round(visit.end, 2),
        }
        for visit in PROGRAMME
    ]
    (folder / "chorus.json").write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
