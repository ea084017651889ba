"""Sound files and streams from anywhere: refused in a sentence, or read; nothing crashes, and nothing is made up."""

from __future__ import annotations

import math
import os
import shutil
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from birdwatchd.audio.clock import SampleClock
from birdwatchd.audio.decoding import open_sound
from birdwatchd.audio.ffmpeg import COMPLAINT_LINES, Ffmpeg
from birdwatchd.audio.intake import Intake
from birdwatchd.audio.mute import Mute
from birdwatchd.audio.recording import Recording
from birdwatchd.audio.ring import Ring
from birdwatchd.audio.stream import Stream
from birdwatchd.config.plain import is_plain_line
from birdwatchd.config.schema import RecordingSource, StreamSource
from birdwatchd.errors import RecordingError

if TYPE_CHECKING:
    from pathlib import Path

RATE = 8000
NOISE = np.random.default_rng(0).normal(0, 0.1, (RATE, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A second of stereo noise in each format."""
    folder = tmp_path_factory.mktemp("whole")
    found = {}
    for suffix in ("wav", "flac", "ogg", "mp3"):
        path = folder / f"a.{suffix}"
        soundfile.write(path, NOISE, RATE)
        found[suffix] = path.read_bytes()
    return found


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data(), suffix=st.sampled_from(["wav", "flac", "ogg", "mp3"]))
def test_a_file_with_bits_flipped_or_its_end_missing(
    tmp_path: Path, whole: dict[str, bytes], data: st.DataObject, suffix: str
) -> None:
    content = bytearray(whole[suffix])
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    # Headers are where it hurts.
    places = st.integers(0, 120) | st.integers(0, len(whole[suffix]))
    for place in data.draw(st.lists(places, max_size=5)):
        if place < len(content):
            content[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / f"b.{suffix}"
    path.write_bytes(content)
    refusal = ""
    try:
        with open_sound(path) as sound:
            for number, block in enumerate(sound.blocks(1.0)):
                assert np.isfinite(block).all()
                assert block.shape[1] == sound.channels
                if number == 3:
                    break
    except RecordingError as error:
        refusal = str(error)
    assert refusal == "" or refusal.startswith(str(path))


@pytest.mark.parametrize(("channels", "rate"), [(2, 2_000_000_000), (60_000, 48_000)])
def test_a_header_that_asks_for_all_memory_is_refused(tmp_path: Path, channels: int, rate: int) -> None:
    path = tmp_path / "a.wav"
    form = struct.pack("<HHIIHH", 1, channels, rate, 0, 2 * channels & 0xFFFF, 16)
    body = (
        b"WAVEfmt "
        + struct.pack("<I", len(form))
        + form
        + b"data"
        + struct.pack("<I", 240_000)
        + bytes(240_000)
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with pytest.raises(RecordingError, match=str(path)):
        open_sound(path).__enter__()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg: apt-get install ffmpeg")
@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/x.wav\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile /etc/passwd\n",
        "ffconcat version 1.0\nfile http://127.0.0.1:9/x.wav\n",
    ],
)
def test_a_list_that_calls_itself_a_recording_leads_nowhere(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.wav"
    path.write_text(content)
    with pytest.raises(RecordingError, match="holds no sound") as refusal:
        open_sound(path).__enter__()
    assert "root:" not in str(refusal.value)


class Pieces:
    """Stands for ffmpeg: says these pieces, and ends."""

    def __init__(self, pieces: list[bytes | None]) -> None:
        self._pieces = iter([*pieces, b""])

    def read(self, seconds: float) -> bytes | None:
        return next(self._pieces)


PIECES = st.lists(
    st.none() | st.binary(min_size=1, max_size=7) | st.binary(min_size=500, max_size=3000), max_size=20
)


@settings(deadline=None)
@given(pieces=PIECES)
def test_however_ffmpegs_output_is_cut_every_sample_comes_once_and_in_its_order(
    pieces: list[bytes | None],
) -> None:
    config = StreamSource(kind="stream", name="far", url=SecretStr("x"), sample_rate=RATE)
    stream = Stream(config, ring_seconds=20, wake=lambda: None)
    stream.ring = Ring(20 * RATE, RATE)
    stream.clock = SampleClock(RATE, tolerance_seconds=2.0)
    stream._intake = Intake(stream.ring, stream.clock, lambda: None)
    stream._mute = Mute(stream.ring)
    stream._hear(Pieces(pieces))  # type: ignore[arg-type] # it reads, no more
    said = b"".join(piece for piece in pieces if piece)
    wanted = np.frombuffer(said, "<i2", len(said) // 2).astype(np.float32) / 32768
    assert stream.ring.written == len(wanted)
    assert np.array_equal(stream.ring.read(0, len(wanted)), wanted)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sound=st.binary(max_size=3000), talk=st.binary(max_size=3000))
def test_whatever_ffmpeg_says_its_sound_comes_through_and_few_complaints_are_kept(
    tmp_path: Path, sound: bytes, talk: bytes
) -> None:
    (tmp_path / "sound").write_bytes(sound)
    (tmp_path / "talk").write_bytes(talk)
    words = ["sh", "-c", f"cat {tmp_path}/talk >&2; cat {tmp_path}/sound"]
    heard = b""
    with Ffmpeg(words) as child:
        while (piece := child.read(1.0)) != b"":
            heard += piece or b""
    assert heard == sound
    assert len(child.complaints) <= COMPLAINT_LINES


@pytest.mark.parametrize("said", [b"\x1b[2J\x1b]0;owned\x07", b"\xff\xfe\r\x00"])
def test_what_a_server_has_ffmpeg_say_is_harmless_where_it_is_told(said: bytes) -> None:
    config = StreamSource(kind="stream", name="far", url=SecretStr("rtsp://me:hushhush@cam/1"))
    stream = Stream(
        config, ring_seconds=1, wake=lambda: None, shortest_pause_seconds=0.0, longest_pause_seconds=0.0
    )
    stream.ring = Ring(math.ceil(RATE), RATE)
    stream.clock = SampleClock(RATE)
    stream._intake = Intake(stream.ring, stream.clock, lambda: None)
    stream._wait("stream gone", said.decode(errors="replace") + " hushhush")
    assert is_plain_line(stream.fault)
    assert "hushhush" not in stream.fault


def test_the_fault_of_a_recording_of_any_name_can_be_sent_anywhere(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9\x1b[2J.wav")
    described = RecordingSource(kind="recording", name="far", path=path)
    recording = Recording(described, ring_seconds=4, wake=lambda: None)
    recording._fault = f"{path}: damaged"
    assert recording.fault.endswith("caf\\udce9\\x1b[2J.wav: damaged")
    assert recording.fault.encode()
