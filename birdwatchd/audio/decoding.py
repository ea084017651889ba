"""A sound file as blocks of samples: libsndfile where it can, a child ffmpeg where it cannot."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import soundfile

from birdwatchd.audio.riff import read_riff
from birdwatchd.config.opening import environment
from birdwatchd.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

# fmt: off
SUFFIXES = frozenset((
    ".3gp", ".aac", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".caf", ".flac", ".m4a", ".mka", ".mp3", ".mp4",
    ".oga", ".ogg", ".opus", ".rf64", ".snd", ".w64", ".wav", ".wave", ".webm", ".wma", ".wv",
))
# fmt: on
"""What is looked for in a folder. A file that is named by itself may be called anything."""

MOST_HERTZ, MOST_CHANNELS = 1_000_000, 128
"""What is recorded has no more of either: a file that says otherwise would ask for all the memory there is."""
_MISSING_SHARE = 0.001  # below this a header is merely untidy
_AU_HEADER = struct.Struct(">4s5I")
_AU_FLOAT = 6


class Sound(Protocol):
    """An open sound file. Use it as a context manager, and read it once, from front to back."""

    sample_rate: int
    channels: int
    complaint: str
    """What was wrong with the file, in a few words; known after the last block, empty when nothing was."""

    def blocks(self, seconds: float, *, skip_seconds: float = 0.0) -> Iterator[NDArray[np.float32]]:
        """The samples after the first `skip_seconds`, float32 (n, channels), n worth `seconds` save in the last.

        Integers are scaled by their full range exactly; floats beyond ±1 pass; NaN and infinities become 0.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_sound(path: Path) -> Sound:
    """Open the sound file `path`.

    Raises:
        RecordingError: there is no such file, it may not be read, or it is no sound that anything here can read.
    """
    try:
        if not path.is_file():
            what = "is not a file" if path.exists() else "does not exist"
            raise RecordingError(f"{path} {what}: name a recording, or a folder of recordings")
        with path.open("rb") as file:
            if not file.read(1):
                raise RecordingError(
                    f"{path} is empty: leave it out, or copy it again from the recorder's card"
                )
    except OSError as error:
        raise RecordingError(f"{path} cannot be read ({error.strerror}): change its permissions") from error
    ffmpeg = shutil.which("ffmpeg")
    # libsndfile believes the length in an MP3's header, which lies where streams were cut or joined.
    mp3 = path.suffix.casefold() == ".mp3"
    if not (mp3 and ffmpeg):
        try:
            sound = _SndFile(path)
        except soundfile.LibsndfileError as error:
            reason = error.error_string.rstrip(".")
        else:
            # A recorder that lost power leaves a length of 0 in the header; ffmpeg looks for itself.
            if sound.frames or not ffmpeg:
                return _likely(sound, path)
            sound.__exit__()
    if ffmpeg is None:
        raise RecordingError(
            f"{path} is no sound file that libsndfile reads ({reason}): install ffmpeg to try more"
        )
    return _likely(_Ffmpeg(path, ffmpeg), path)


def _likely(sound: Sound, path: Path) -> Sound:
    if not (0 < sound.sample_rate <= MOST_HERTZ and 0 < sound.channels <= MOST_CHANNELS):
        sound.__exit__()
        raise RecordingError(
            f"{path} says that it has {sound.channels} channels at {sound.sample_rate} Hz, which nothing records: "
            "leave it out, or copy it again from the recorder's card"
        )
    return sound


class _SndFile:
    def __init__(self, path: Path) -> None:
        # As bytes: soundfile refuses names that are not UTF-8.
        self._file = soundfile.SoundFile(os.fsencode(path))
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.frames: int = self._file.frames
        self.complaint = ""
        missing_share = read_riff(path).missing_share
        if missing_share > _MISSING_SHARE:
            self.complaint = f"cut off: {missing_share:.1%} of the sound that its header promises is missing"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self, seconds: float, *, skip_seconds: float = 0.0) -> Iterator[NDArray[np.float32]]:
        frames = max(1, round(seconds * self.sample_rate))
        position = 0
        if skip_seconds:
            position = self._file.seek(min(round(skip_seconds * self.sample_rate), self.frames))
        bad = 0
        while True:
            try:
                block = self._file.read(frames, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                at = position / self.sample_rate
                self.complaint = f"damaged after {at:.1f} s ({error.error_string.rstrip('.')})"
                return
            if not len(block):
                break
            position += len(block)
            bad += _mend(block)
            yield block
        if bad:
            self.complaint = _not_numbers(bad)
        elif position < self.frames and not self.complaint:
            self.complaint = f"cut off: ends after {position / self.sample_rate:.1f} of {self.frames / self.sample_rate:.1f} s"


class _Ffmpeg:
    """A child that writes one AU stream: a header with rate and channels, then big-endian floats."""

    def __init__(self, path: Path, ffmpeg: str) -> None:
        self._path = path
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child; closed in __exit__
        command = [ffmpeg, "-nostdin", "-v", "error", "-protocol_whitelist", "file"]
        command += ["-i", f"file:{path}", "-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
        self._child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._errors, bufsize=1 << 20, env=environment()
        )
        self.complaint = ""
        header = self._read(_AU_HEADER.size)
        if len(header) == _AU_HEADER.size:
            magic, offset, _, encoding, self.sample_rate, self.channels = _AU_HEADER.unpack(header)
            self._read(offset - _AU_HEADER.size)
            if magic == b".snd" and encoding == _AU_FLOAT and self.sample_rate > 0 and self.channels > 0:
                return
        self._child.wait()
        reason = self._last_error()
        self.__exit__()
        raise RecordingError(
            f"{path} holds no sound that libsndfile or ffmpeg can read ({reason}): "
            "leave it out, or copy it again from the recorder's card"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        if self._child.stdout:
            self._child.stdout.close()
        self._child.wait()
        self._errors.close()

    def blocks(self, seconds: float, *, skip_seconds: float = 0.0) -> Iterator[NDArray[np.float32]]:
        size = 4 * self.channels
        skip = round(skip_seconds * self.sample_rate)
        while skip > 0 and (skipped := self._read(size * min(skip, self.sample_rate))):
            skip -= len(skipped) // size
        frames = max(1, round(seconds * self.sample_rate))
        bad = 0
        while raw := self._read(size * frames):
            whole = raw[: len(raw) // size * size]
            block = np.frombuffer(whole, dtype=">f4").astype(np.float32).reshape(-1, self.channels)
            bad += _mend(block)
            yield block
        if self._child.wait() or self._errors.tell():
            self.complaint = f"damaged ({self._last_error()})"
        elif bad:
            self.complaint = _not_numbers(bad)

    def _read(self, size: int) -> bytes:
        assert self._child.stdout  # noqa: S101 - it was opened as a pipe
        return self._child.stdout.read(size)

    def _last_error(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        last = lines[-1] if lines else f"ffmpeg ended with {self._child.returncode}"
        return last.removeprefix(f"file:{self._path}: ")


def _mend(block: NDArray[np.float32]) -> int:
    """Replace what is no number by 0, in place; how many there were."""
    good = np.isfinite(block)
    bad = block.size - int(np.count_nonzero(good))
    if bad:
        block[~good] = 0
    return bad


def _not_numbers(count: int) -> str:
    return f"{count} of its samples are not numbers, and were taken as silence"
