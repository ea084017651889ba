"""Clips cut from recordings, each in the folder of its class, and the manifest that says what was cut from what."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import soundfile

from birdwatchd.actions.clip_sound import SUFFIXES, encode, to_pcm16
from birdwatchd.audio.decoding import open_sound
from birdwatchd.audio.mix import mix
from birdwatchd.errors import RecordingError, UserError
from birdwatchd.on_disk import whole
from train.activity import LOW_HZ, active, levels
from train.annotations import of_recording
from train.manifest import Row, read_manifest
from train.stretches import around, tiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from birdwatchd.actions.clip_sound import Format
    from birdwatchd.audio.decoding import Sound
    from train.annotations import Annotation
    from train.stretches import Stretch

MANIFEST = "manifest.csv"
_BLOCK_SECONDS = 10.0
_OVERLAP_SECONDS = 0.5
"""An annotation of which a clip holds so much, or half, is in that clip."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How recordings are cut."""

    seconds: float = 3.0
    step: float | None = None
    """From clip to clip, seconds; `seconds` when None. Not for activity and annotations."""
    channel: int | Literal["mix"] = "mix"
    """Counted from 1."""
    format: Format = "wav"
    above_db: float | None = None
    """Cut around what is so much louder than the local floor; everything when None."""
    low_hz: float = LOW_HZ
    annotations: tuple[Annotation, ...] | None = None
    """Cut around these, with their labels."""
    again: bool = False
    """Also what was thrown away, or moved, since it was cut before."""


class Cutter:
    """Cuts recordings into one folder."""

    def __init__(self, folder: Path, cut: Cut, *, alone: bool) -> None:
        """Look at what is in the folder already; `alone` says that there is one recording only.

        Raises:
            UserError: its manifest cannot be read.
        """
        self._folder = folder
        self._cut = cut
        self._alone = alone
        self.complaints: list[str] = []
        """What was wrong with recordings that were cut as far as they go."""
        self.gone = 0
        """Clips that were not cut again, as somebody has thrown them away or moved them."""
        manifest = folder / MANIFEST
        before = read_manifest(manifest, may_be_gone=True) if manifest.exists() else []
        self._rows = {row.path.resolve(): row for row in before}
        self._known = {row.group for row in before}
        self._gone = set() if cut.again else {path for path in self._rows if not path.is_file()}

    @property
    def rows(self) -> list[Row]:
        """All clips in the folder, of earlier cuts too."""
        return [self._rows[path] for path in sorted(self._rows)]

    def cut(self, recording: Path, label: str) -> list[Row]:
        """Cut one recording; clips that it gave before are written again where they still are.

        Raises:
            RecordingError: it cannot be read.
            UserError: a clip cannot be written.
        """
        made = []
        places = self._places(recording, label)
        for (start, end), samples, rate in self._pieces(recording, sorted(places)):
            labels = places[start, end]
            sound = _encoded(recording, samples, rate, self._cut.format)
            row = Row(
                self._path(recording, labels, (start, end), sound), labels, group=str(recording.resolve())
            )
            if row.path.resolve() in self._gone:
                self.gone += 1
            else:
                _write(row.path, sound)
                made.append(row)
            # Also of one that is gone: where its recording lies now, it is known the next time.
            self._rows[row.path.resolve()] = row
        return made

    def _places(self, recording: Path, label: str) -> dict[Stretch, tuple[str, ...]]:
        """Where to cut, with the labels of each clip."""
        cut = self._cut
        labels = (label,) if label else ()
        length, level = self._measure(recording)
        if cut.annotations is not None:
            its = of_recording(cut.annotations, recording, alone=self._alone)
            stretches = [(one.start, min(one.end, length)) for one in its if one.start < length]
            clips = around(stretches, cut.seconds, length)
            heard = {clip: _heard(its, clip) for clip in clips}
            return {clip: names for clip, names in heard.items() if names}
        if cut.above_db is not None:
            return dict.fromkeys(around(active(level, cut.above_db), cut.seconds, length), labels)
        return dict.fromkeys(tiles(0.0, length, cut.seconds, cut.step), labels)

    def _measure(self, recording: Path) -> tuple[float, NDArray[np.float64]]:
        """Its length in seconds, and the level of its frames."""
        count = 0
        with open_sound(recording) as sound:

            def counted() -> Iterator[NDArray[np.float32]]:
                nonlocal count
                for block in self._mono(recording, sound):
                    count += len(block)
                    yield block

            if self._cut.above_db is None:
                for _ in counted():
                    pass
                level = np.zeros(0)
            else:
                level = levels(counted(), sound.sample_rate, low_hz=self._cut.low_hz)
            if not count:
                raise RecordingError(
                    f"{recording} holds no sound ({sound.complaint or 'its length is 0'}): leave it out"
                )
            if sound.complaint:
                self.complaints.append(f"{recording}: {sound.complaint}")
            return count / sound.sample_rate, level

    def _pieces(
        self, recording: Path, stretches: Sequence[Stretch]
    ) -> Iterator[tuple[Stretch, NDArray[np.float32], int]]:
        """Each stretch, which must not overlap and be in order, with its samples float32 (n,) and their rate."""
        with open_sound(recording) as sound:
            rate = sound.sample_rate
            blocks = self._mono(recording, sound)
            held, first = np.zeros(0, np.float32), 0
            for stretch in stretches:
                start, stop = (round(time * rate) for time in stretch)
                while first + len(held) < stop and (block := next(blocks, None)) is not None:
                    # What lies before the stretch is needed by none that follows, unless clips overlap (--step).
                    keep = min(len(held), max(0, start - first))
                    held, first = np.concatenate([held[keep:], block]), first + keep
                yield stretch, held[max(0, start - first) : stop - first], rate

    def _mono(self, recording: Path, sound: Sound) -> Iterator[NDArray[np.float32]]:
        channel = self._cut.channel
        if channel != "mix" and channel > sound.channels:
            raise RecordingError(
                f"{recording} has {sound.channels} channel(s): --channel {channel} is not there"
            )
        for block in sound.blocks(_BLOCK_SECONDS):
            yield mix(block) if channel == "mix" else block[:, channel - 1]

    def _path(self, recording: Path, labels: tuple[str, ...], stretch: Stretch, sound: bytes) -> Path:
        """Where the clip goes: its name has the recording's, and a number when another recording has that too.

        A clip is another's if it is another sound, of a recording that the manifest does not name, for either may have moved.
        """
        place = self._folder / folder_name(labels[0]) if labels else self._folder
        suffix = SUFFIXES[self._cut.format]
        number = 1
        while True:
            stem = recording.stem if number == 1 else f"{recording.stem} ({number})"
            path = place / f"{stem}__{stretch[0]:.3f}-{stretch[1]:.3f}{suffix}"
            known = self._rows.get(path.resolve())
            its = str(recording.resolve())
            if known is None or path.is_file():
                ours = (known is not None and known.group == its) or not _holds_other(path, sound)
            else:  # thrown away
                ours = known.group == its or self._was(known.group, recording)
            if ours:
                return path
            number += 1

    def _was(self, group: str, recording: Path) -> bool:
        """Whether what the manifest calls `group` may be the recording, whose folder was called otherwise then.

        One that was only deleted is another's: names of recordings come again.
        """
        before = Path(group)
        renamed = bool(group) and before.name == recording.name and not before.parent.exists()
        return renamed and str(recording.resolve()) not in self._known


def class_of(recording: Path, source: Path) -> str:
    """The first folder between the source that the user named and the recording; empty when there is none."""
    inside = recording.relative_to(source).parts if source.is_dir() else ()
    return inside[0] if len(inside) > 1 else ""


def folder_name(label: str) -> str:
    """What the folder of a class is called: the label, without what no folder's name may hold."""
    name = label.replace("/", "-").replace("\0", "")
    return f"_{name[1:]}" if name.startswith(".") else name


def _heard(annotations: Sequence[Annotation], clip: Stretch) -> tuple[str, ...]:
    """The labels of the annotations that the clip holds enough of, the one that it holds most of first."""
    held: dict[str, float] = {}
    for one in annotations:
        overlap = min(one.end, clip[1]) - max(one.start, clip[0])
        if overlap >= min(_OVERLAP_SECONDS, (one.end - one.start) / 2):
            held[one.label] = held.get(one.label, 0.0) + overlap
    return tuple(sorted(held, key=lambda label: -held[label]))


def _encoded(recording: Path, samples: NDArray[np.float32], rate: int, form: Format) -> bytes:
    try:
        return encode(to_pcm16(samples), rate, form)
    except OSError as error:
        raise UserError(f"no clip of {recording} can be written: {error.strerror or error}") from error


def _holds_other(path: Path, sound: bytes) -> bool:
    """Whether something else than `sound` is at `path`; the beginning of it, or nothing, is what a power cut has left."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    return not sound.startswith(content) and not (content[:4] == b"OggS" and _sounds_like(content, sound))


def _sounds_like(content: bytes, sound: bytes) -> bool:
    """Whether both are decoded to the same: Ogg has a number by chance in it, so that no two files are alike."""
    try:
        one, other = (soundfile.read(BytesIO(file), dtype="float32")[0] for file in (content, sound))
    except soundfile.LibsndfileError:
        return False
    return np.array_equal(one, other)


def _write(path: Path, sound: bytes) -> None:
    try:
        # To wait for the disk at each of thousands of clips takes many times as long as to cut them. What a power cut has
        # left of one, `list` names, and the next cut writes anew.
        with whole(path, lasting=False) as file:
            file.write(sound)
    except OSError as error:
        raise UserError(f"the clip {path} cannot be written: {error.strerror or error}") from error
