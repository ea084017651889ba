"""`birdwatchd-train record`, on a real sound server and on a sound system that does as it is told."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from birdwatchd.audio.choice import Choice
from birdwatchd.audio.inputs import Input
from birdwatchd.audio.portaudio import PortAudio, Tap
from birdwatchd.errors import DeviceError, UserError
from tests.integration.known import RATE, heard, noise
from tests.integration.soundserver import SoundServer, needs_sound_server
from tests.integration.waiting import wait_until
from train.commands.record import record as command
from train.record import Take, Wanted, record

if TYPE_CHECKING:
    from collections.abc import Iterator


class ToldPortAudio(PortAudio):
    """Plays `sound` in blocks of a hundredth of a second on a thread of its own, as PortAudio would, and then stops."""

    def __init__(self, sound: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
        super().__init__(deadline_seconds=1)
        self.sound = sound
        self.preferred = 0

    def choose(
        self,
        wanted: int | str | None,
        *,
        channel: int | str,
        sample_rate: int | None,
        preferred_rate: int,
        known: str = "",
    ) -> Choice:
        self.preferred = preferred_rate
        return Choice(Input(0, "told", 1, 8000, is_default=True, usb=""), 1, 0, sample_rate or 8000)

    def open(self, tap: Tap) -> None:
        def play() -> None:
            for block in np.array_split(self.sound, max(1, len(self.sound) // 80)):
                tap.arrive(block[:, None], len(block), None, None)
            tap.finish()

        threading.Thread(target=play).start()

    def close(self, tap: Tap) -> None:
        tap.closed = True


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SoundServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    with SoundServer(folder) as server:
        yield server


def start(server: SoundServer, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "train", "record", *map(str, words)],
        cwd=Path(__file__).parents[2],
        env=server.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_recording(folder: Path) -> bool:
    """The header is written, and so the microphone is open or about to be."""
    return any(path.stat().st_size > 20_000 for path in folder.glob(".*.part"))


@needs_sound_server
def test_what_is_played_is_in_the_file(server: SoundServer, tmp_path: Path) -> None:
    played = noise(tmp_path / "played.wav")
    child = start(server, tmp_path / "out" / "heard.wav", "--seconds", 600, "--rate", RATE)
    wait_until(lambda: is_recording(tmp_path / "out"), "it records")
    server.play(tmp_path / "played.wav")
    (part,) = (tmp_path / "out").glob(".*.part")
    end = played[-RATE // 10 :].tobytes()
    wait_until(lambda: end in part.read_bytes(), "all of it is recorded")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert f" s at {RATE} Hz in {tmp_path / 'out' / 'heard.wav'} (peak " in out
    sound, rate = soundfile.read(tmp_path / "out" / "heard.wav", dtype="int16")
    assert rate == RATE
    assert soundfile.info(tmp_path / "out" / "heard.wav").subtype == "PCM_16"
    heard(sound, played[:, 0])


@needs_sound_server
def test_44100_hz_mono_wav_unless_told_otherwise_and_silence_is_told(
    server: SoundServer, tmp_path: Path
) -> None:
    child = start(server, tmp_path / "recs", "--seconds", 0.5, "--label", "Turdus merula")
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert out.startswith("0.5 s at 44100 Hz in ")
    (path,) = (tmp_path / "recs" / "Turdus merula").iterdir()
    made = soundfile.info(path)
    assert (made.format, made.subtype, made.samplerate, made.channels, made.frames) == (
        "WAV", "PCM_16", 44_100, 1, 22_050
    )  # fmt: skip
    assert str(path) in out
    assert "nothing but silence" in err


@needs_sound_server
def test_ctrl_c_ends_it_and_keeps_what_there_is(server: SoundServer, tmp_path: Path) -> None:
    child = start(server, tmp_path / "a.wav", "--seconds", 600)
    wait_until(lambda: is_recording(tmp_path), "it records")
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=120)
    assert child.returncode == 0
    assert "ended early" in out
    assert soundfile.info(tmp_path / "a.wav").frames > 8000
    assert not list(tmp_path.glob(".*.part"))


def test_every_sample_is_written_and_shown(tmp_path: Path) -> None:
    sound = (np.random.default_rng(0).integers(-32768, 32767, 12_000) / 32768).astype(np.float32)
    owner = ToldPortAudio(sound)
    shown: list[int] = []
    take = record(tmp_path / "a.wav", Wanted(1.0), show=lambda take: shown.append(take.samples), owner=owner)
    written, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert np.array_equal(written, sound[:8000])
    assert (take.samples, shown[-1], take.is_clipped, owner.preferred) == (8000, 8000, True, 44_100)
    assert take.level_dbfs == pytest.approx(-4.8, abs=0.5)


def test_an_input_that_goes_away_is_told_and_what_it_gave_is_kept(tmp_path: Path) -> None:
    owner = ToldPortAudio(np.full(4000, 0.25, np.float32))
    with pytest.raises(DeviceError, match=r"told gives no more sound after 0\.5 s, which are kept"):
        record(tmp_path / "a.flac", Wanted(60.0), owner=owner)
    assert soundfile.info(tmp_path / "a.flac").frames == 4000


def test_an_input_that_gives_nothing_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="told gives no sound"):
        record(tmp_path / "a.wav", Wanted(60.0), owner=ToldPortAudio(np.zeros(0, np.float32)))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        record(tmp_path / "file" / "a.wav", Wanted(1.0), owner=ToldPortAudio(np.zeros(8000, np.float32)))


def test_a_take_measures_itself() -> None:
    assert Take("x", 8000, samples=4000).seconds == 0.5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a.mp3"], "what is recorded is .wav or .flac"),
        (["a.wav", "--format", "flac"], "what is recorded is .wav or .flac"),
        (["a.wav", "--label", "x"], "--label is for a folder"),
        (["there.wav"], "is there already"),
    ],
)
def test_names_that_do_not_fit(tmp_path: Path, words: list[str], told: str) -> None:
    (tmp_path / "there.wav").write_text("")
    with pytest.raises(UserError) as refusal:
        CliRunner().invoke(
            command, [str(tmp_path / words[0]), *words[1:]], standalone_mode=False, catch_exceptions=False
        )
    assert told in str(refusal.value)
