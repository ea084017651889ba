"""Recordings as a source: every format, damaged ones, folders, channels, times, and pace."""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from birdwatchd.audio.decoding import open_sound
from birdwatchd.audio.recording import Recording, sound_files
from birdwatchd.config.schema import RecordingSource
from birdwatchd.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")

RATE = 48000


def tone(seconds: float, rate: int = RATE, *, hertz: float = 1000.0) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def source(path: Path, **settings: Any) -> RecordingSource:
    return RecordingSource(name="test", kind="recording", path=path, **{"speed": "fast", **settings})


def play(
    config: RecordingSource, *, ring_seconds: float = 2.0, **injected: Any
) -> tuple[Recording, NDArray[np.float32]]:
    """Read the recording to its end as the pipeline does, and give back every sample."""
    woken = threading.Event()
    recording = Recording(config, ring_seconds=ring_seconds, wake=woken.set, **injected)
    recording.start()
    pieces: list[NDArray[np.float32]] = []
    at = 0
    limit = time.monotonic() + 60
    while True:
        woken.clear()
        finished = recording.finished
        written = recording.ring.written
        pieces.append(recording.ring.read(at, written))
        at = written
        recording.ring.release(at)
        if finished:
            break
        assert time.monotonic() < limit, "the recording does not end"
        woken.wait(1)
    recording.stop()
    return recording, np.concatenate(pieces)


def raw_wav(path: Path, bits: int, channels: int, content: bytes, *, form: int = 1) -> Path:
    size = bits // 8 * channels
    header = struct.pack("<HHIIHH", form, channels, RATE, RATE * size, size, bits)
    body = (
        b"WAVEfmt "
        + struct.pack("<I", len(header))
        + header
        + b"data"
        + struct.pack("<I", len(content))
        + content
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


@settings(deadline=None)
@given(values=st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
def test_16_bit_integers_come_exactly(tmp_path_factory: pytest.TempPathFactory, values: list[int]) -> None:
    path = raw_wav(tmp_path_factory.getbasetemp() / "a.wav", 16, 1, struct.pack(f"<{len(values)}h", *values))
    _, samples = play(source(path))
    assert samples.tolist() == [value / 32768 for value in values]


def test_8_and_24_bit_integers_come_exactly(tmp_path: Path) -> None:
    _, samples = play(source(raw_wav(tmp_path / "8.wav", 8, 1, bytes([0, 64, 128, 255]))))
    assert samples.tolist() == [-1.0, -0.5, 0.0, 127 / 128]
    values = [-(2**23), -1, 0, 1, 2**23 - 1]
    content = b"".join(value.to_bytes(3, "little", signed=True) for value in values)
    _, samples = play(source(raw_wav(tmp_path / "24.wav", 24, 1, content)))
    assert samples.tolist() == [value / 2**23 for value in values]


def test_floats_pass_beyond_one_and_what_is_no_number_is_silence(tmp_path: Path) -> None:
    content = struct.pack("<5f", 0.25, 1.5, float("nan"), float("-inf"), -2.0)
    recording, samples = play(source(raw_wav(tmp_path / "f.wav", 32, 1, content, form=3)))
    assert samples.tolist() == [0.25, 1.5, 0.0, 0.0, -2.0]
    assert recording.complaints == [
        (tmp_path / "f.wav", "2 of its samples are not numbers, and were taken as silence")
    ]


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "aiff", "mp3", "m4a", "opus", "wma"])
@needs_ffmpeg
def test_formats(tmp_path: Path, suffix: str) -> None:
    """Whatever the format, the tone is there, as long and as loud as it was."""
    soundfile.write(tmp_path / "in.wav", tone(5), RATE)
    path = tmp_path / f"sound.{suffix}"
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", tmp_path / "in.wav", path], check=True)
    recording, samples = play(source(path))
    assert recording.ring.sample_rate == RATE
    assert len(samples) == pytest.approx(5 * RATE, abs=0.05 * RATE)
    middle = samples[RATE : 4 * RATE]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / 2**0.5, rel=0.1)
    assert np.argmax(np.abs(np.fft.rfft(middle))) == pytest.approx(3000, abs=3)
    assert not recording.unreadable
    assert not recording.complaints


def test_192_khz_and_8_channels_come_at_their_own_rate(tmp_path: Path) -> None:
    channels = np.stack([np.full(1000, (index + 1) / 16) for index in range(8)], axis=1)
    path = tmp_path / "wide.wav"
    soundfile.write(path, channels, 192000)
    recording, samples = play(source(path, channel=3))
    assert recording.ring.sample_rate == 192000
    assert samples.tolist() == [3 / 16] * 1000
    _, samples = play(source(path, channel="mix"))
    assert samples.tolist() == [4.5 / 16] * 1000
    with pytest.raises(
        RecordingError, match=r"wide.wav has 8 channels: set `channel` of source test to no more, not 9"
    ):
        play(source(path, channel=9))


@needs_ffmpeg
def test_the_length_in_an_mp3_header_is_not_believed(tmp_path: Path) -> None:
    """Three MP3 files joined: the header of the first counts only its own frames."""
    soundfile.write(tmp_path / "one.mp3", tone(3), RATE)
    path = tmp_path / "joined.mp3"
    path.write_bytes((tmp_path / "one.mp3").read_bytes() * 3)
    _, samples = play(source(path))
    assert len(samples) > 8.9 * RATE


@needs_ffmpeg
@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_recorder_that_lost_power_left_its_sound(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(2), RATE)
    content = path.read_bytes()
    at = content.index(b"data") + 4
    path.write_bytes(content[:at] + struct.pack("<I", size) + content[at + 4 :])
    recording, samples = play(source(path))
    assert len(samples) == pytest.approx(2 * RATE, abs=10)
    assert not recording.complaints


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_file_that_is_cut_off_is_played_as_far_as_it_goes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 4 * RATE), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    recording, samples = play(source(path))
    assert RATE <= len(samples) <= 2 * RATE
    ((complained, what),) = recording.complaints
    assert complained == path
    assert what.startswith(("cut off", "damaged after"))
    assert not recording.unreadable


def unreadable(folder: Path) -> dict[str, Path]:
    names = ["empty", "zero", "text", "absent", "device"]
    paths = {name: folder / f"{name}.wav" for name in names}
    paths["empty"].touch()
    soundfile.write(paths["zero"], np.zeros(0), RATE)
    paths["text"].write_text("hello, I am a text\n" * 100)
    os.mkfifo(paths["device"])
    return paths


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("empty", "is empty"),
        ("zero", "holds no sound"),
        ("text", "no sound"),
        ("absent", "does not exist"),
        ("device", "is not a file"),
    ],
)
def test_one_file_that_cannot_be_read_is_refused_in_a_sentence(
    tmp_path: Path, which: str, message: str
) -> None:
    path = unreadable(tmp_path)[which]
    with pytest.raises(RecordingError, match=message) as refusal:
        play(source(path))
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert ": " in str(refusal.value), "it says what to do"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(1), RATE)
    path.chmod(0)
    with pytest.raises(RecordingError, match="cannot be read"):
        play(source(path))


def test_without_ffmpeg_the_sentence_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "a.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    with pytest.raises(RecordingError, match="install ffmpeg"):
        play(source(path))


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(RecordingError, match="holds no recordings"):
        play(source(tmp_path))


def test_a_folder_of_nothing_but_bad_files_is_refused(tmp_path: Path) -> None:
    unreadable(tmp_path)
    with pytest.raises(RecordingError, match="none of the 4 recordings"):
        play(source(tmp_path))


def test_a_folder_is_played_in_the_order_of_names_and_bad_files_are_counted(tmp_path: Path) -> None:
    unreadable(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name, level in (
        ("zz.wav", 0.75),
        ("aa.WAV", 0.25),
        ("sub/a.wav", 0.5),
        (".hidden/a.wav", 1),
        ("._aa.wav", 1),
    ):
        soundfile.write(tmp_path / name, np.full(RATE, level, dtype=np.float32), RATE, subtype="FLOAT")
    recording, samples = play(source(tmp_path))
    assert samples[:: RATE // 2].tolist() == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    assert [path.name for path, _ in recording.unreadable] == [
        "device.wav",
        "empty.wav",
        "text.wav",
        "zero.wav",
    ]
    assert [(gap.index, gap.cause) for gap in recording.ring.gaps] == [
        (RATE, "between files"),
        (2 * RATE, "between files"),
    ]


def test_a_name_that_is_no_utf_8_is_played(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.5), RATE)
    path = (tmp_path / "a.wav").rename(tmp_path / os.fsdecode(b"\xfc.wav"))
    assert len(play(source(path))[1]) == RATE // 2


def test_links_in_a_circle_do_not_trap_it(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.1), RATE)
    (tmp_path / "again").symlink_to(tmp_path)
    assert sound_files(tmp_path) == [tmp_path / "a.wav"]


def test_a_file_with_another_rate_is_brought_to_that_of_the_first(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1), RATE)
    soundfile.write(tmp_path / "b.wav", tone(3, 22050), 22050)
    _, samples = play(source(tmp_path))
    assert len(samples) == pytest.approx(4 * RATE, abs=2)
    assert np.argmax(np.abs(np.fft.rfft(samples[2 * RATE : 3 * RATE]))) == 1000
    assert np.max(np.abs(samples[2 * RATE : 3 * RATE])) == pytest.approx(0.5, rel=0.01)


def test_names_date_the_samples_and_the_pauses(tmp_path: Path) -> None:
    for name in ("20230401_053000.WAV", "20230401_053010.WAV", "20230401_053011.WAV"):
        soundfile.write(tmp_path / name, tone(2), RATE)
    recording, _ = play(source(tmp_path), ring_seconds=60)
    first = datetime(2023, 4, 1, 5, 30, tzinfo=UTC)
    assert recording.clock.at(RATE) == first + timedelta(seconds=1)
    assert recording.clock.at(3 * RATE) == first + timedelta(seconds=11)
    gaps = [(gap.index, gap.seconds) for gap in recording.ring.gaps]
    # The last one claims to begin before the one before it ended: that is no pause.
    assert gaps == [(2 * RATE, 8.0), (4 * RATE, 0.0)]


def test_files_that_do_not_tell_follow_each_other_from_now(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, tone(2), RATE)
    now = datetime(2024, 2, 3, 4, 5, tzinfo=UTC)
    recording, _ = play(source(tmp_path), ring_seconds=60, now=lambda: now)
    assert recording.clock.at(0) == now
    assert recording.clock.at(3 * RATE) == now + timedelta(seconds=3)


@pytest.mark.parametrize("start", ["now", datetime(2024, 2, 3, 4, 5, tzinfo=UTC)])
def test_a_given_start_wins_over_the_name(tmp_path: Path, start: str | datetime) -> None:
    path = tmp_path / "20230401_053000.WAV"
    soundfile.write(path, tone(1), RATE)
    now = datetime(2024, 2, 3, 4, 5, tzinfo=UTC)
    recording, _ = play(source(path, start=start), now=lambda: now)
    assert recording.clock.at(0) == now


def test_real_time_is_paced_by_the_monotonic_clock(tmp_path: Path) -> None:
    """Each block is waited for until it has sounded; where the clock has gone on meanwhile, it comes at once."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(3), RATE)
    moment = 0.0
    waits: list[tuple[int, float]] = []

    class Waiting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal moment
            waits.append((recording.ring.written, timeout or 0.0))
            moment = 10.0 if len(waits) == 20 else moment + (timeout or 0.0)
            return self.is_set()

    recording = Recording(
        source(path, speed="real_time"), ring_seconds=10, wake=lambda: None, monotonic=lambda: moment
    )
    recording._stopping = Waiting()
    recording.start()
    until(lambda: recording.finished)
    recording.stop()
    assert [written for written, _ in waits] == [number * RATE // 10 for number in range(30)]
    assert [seconds for _, seconds in waits] == pytest.approx([0.1] * 20 + [0.0] * 10)
    assert recording.ring.written == 3 * RATE


def test_it_waits_for_its_reader_and_stops_while_it_waits(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(30), RATE)
    recording = Recording(source(path), ring_seconds=4, wake=lambda: None)
    recording.start()
    until(lambda: recording.ring.written == 4 * RATE)
    assert recording.ring.oldest == 0, "nothing was overwritten"
    recording.stop()
    assert recording.finished
    assert recording.ring.written == 4 * RATE


@settings(max_examples=50, deadline=None)
@given(position=st.integers(0, 60), value=st.integers(0, 255))
def test_a_damaged_header_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "header.wav"
    soundfile.write(path, tone(0.01), RATE)
    content = bytearray(path.read_bytes())
    content[position % len(content)] = value
    path.write_bytes(content)
    # Refused in a sentence, or read: nothing else may happen.
    with contextlib.suppress(RecordingError), open_sound(path) as sound:
        for block in sound.blocks(1):
            assert np.isfinite(block).all()


def until(claim: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not claim():
        assert time.monotonic() < limit
        time.sleep(0.002)
