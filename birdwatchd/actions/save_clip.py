"""`save_clip`: a detection's sound becomes a file, with what is known of it and a picture. docs/clips.md explains.

save_clip.py     the action
clip_sound.py    filter, loudness, encoding
spectrogram.py   the picture
clip_files.py    writing beside and renaming
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from birdwatchd import __version__
from birdwatchd.actions import Action, ActionConfig, Context, GiveUp, Postpone
from birdwatchd.actions.clip_files import stem_of, write_together
from birdwatchd.actions.payload import payload
from birdwatchd.config.kinds import Numeric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from birdwatchd.domain import Clip, Detection

RETRY_SECONDS = 5.0
"""A full disk may be helped; the sound stays in memory for a little while only."""
SIDECAR = ".json"
PICTURE = ".png"

Decibels = Annotated[float, Field(ge=-60, le=0), Numeric]
Roll = Annotated[float, Field(ge=0, le=120), Numeric]


class SaveClip(Action):
    """Keep each detection's sound: a file, a JSON file that says what it is, and a picture of it.

    A clip in which a person speaks is not kept. docs/clips.md has the rest.
    """

    class Config(ActionConfig):
        """Its settings."""

        on: Literal["started", "ended"] = "ended"
        """Either way the clip is made when the detection has ended and what follows it was analysed."""
        before_seconds: Roll = 3.0
        """So much sound before the detection; it also makes the memory that sound is kept in longer."""
        after_seconds: Roll = 3.0
        """So much sound after it; the clip is ready only then."""
        format: Literal["flac", "wav", "ogg", "mp3", "aac", "opus"] = "flac"
        """`flac` and `wav` (16 bit) lose nothing; `mp3`, `aac` and `opus` need ffmpeg."""
        high_pass_hz: Annotated[float, Field(ge=10, le=10_000), Numeric] | None = None
        """Takes out what lies below, such as wind and traffic: 24 dB an octave."""
        normalise_lufs: Annotated[float, Field(ge=-60, le=-5), Numeric] | None = None
        """Makes every clip as loud as this (ITU-R BS.1770), such as -23, as far as its peaks allow."""
        normalise_peak_dbfs: Decibels | None = None
        """Alone: brings the highest peak to this. Beside `normalise_lufs`: no peak goes higher (-1 when left out)."""
        picture: bool = True
        """Also draw its spectrogram, with the detection marked."""

    durability = "bounded"
    default_max_age_seconds = 600.0

    config: Config

    def after_seconds(self) -> float:
        """The clip's post-roll."""
        return self.config.after_seconds

    def was_done(self, detection: Detection, context: Context) -> bool:
        """The sound comes last: where it is, all of it is."""
        from birdwatchd.actions.clip_sound import SUFFIXES

        stem, suffix = stem_of(context.clips_folder, detection), SUFFIXES[self.config.format]
        if not stem.with_name(f"{stem.name}{suffix}").is_file():
            return False
        context.note(kept=True, file=f"{detection.clip_path}{suffix}")
        return True

    def run(self, detection: Detection, context: Context) -> None:
        """Cut, encode, and write all files of it."""
        if detection.voice:
            context.note(kept=False, why="a person speaks")
            return
        clip = context.clip(self.config.before_seconds, self.config.after_seconds)
        if isinstance(clip, str):
            raise GiveUp(clip)
        if clip.voice:
            context.note(kept=False, why="a person speaks")
            return
        from birdwatchd.actions.clip_sound import SUFFIXES, encode

        pcm, changes = self._worked(clip)
        stem = stem_of(context.clips_folder, detection)
        suffix = SUFFIXES[self.config.format]
        try:
            sound = encode(pcm, clip.sample_rate, self.config.format)
        except OSError as error:
            raise GiveUp(str(error)) from error
        # The sound comes last: where it is, the others are.
        contents = {SIDECAR: self._sidecar(detection, clip, context, f"{stem.name}{suffix}", changes)}
        if self.config.picture:
            contents[PICTURE] = _picture(detection, clip, context)
        contents[suffix] = sound
        refused = context.make_room(sum(map(len, contents.values())))
        if refused:
            raise Postpone(refused, RETRY_SECONDS)
        try:
            write_together(stem, contents)
        except OSError as error:
            raise Postpone(
                f"the clip cannot be written below {context.clips_folder}: {error.strerror or error}",
                RETRY_SECONDS,
            ) from error
        context.note(kept=True, file=f"{detection.clip_path}{suffix}", seconds=round(_seconds(clip), 3))
        if clip.gaps:
            context.note(missing_seconds=round(sum(gap.seconds for gap in clip.gaps), 3))

    def _worked(self, clip: Clip) -> tuple[NDArray[np.int16], dict[str, float]]:
        """The sound as the config wants it, and what was done to it."""
        from birdwatchd.actions.clip_sound import gain_db, high_pass, to_pcm16

        samples, changes = clip.samples, {}
        if self.config.high_pass_hz is not None:
            samples = high_pass(samples, clip.sample_rate, self.config.high_pass_hz)
            changes["high_pass_hz"] = self.config.high_pass_hz
        decibels = gain_db(
            samples,
            clip.sample_rate,
            lufs=self.config.normalise_lufs,
            peak_dbfs=self.config.normalise_peak_dbfs,
        )
        if decibels:
            samples = samples * np.float32(10 ** (decibels / 20))
            changes["gain_db"] = round(decibels, 2)
        return to_pcm16(samples), changes

    def _sidecar(
        self, detection: Detection, clip: Clip, context: Context, file: str, changes: dict[str, float]
    ) -> bytes:
        rate = clip.sample_rate
        offset = detection.start_sample - clip.start_sample
        said: dict[str, Any] = {
            "birdwatchd": __version__,
            **payload(detection, context),
            "clip": {
                "file": file,
                "format": self.config.format,
                "sample_rate": rate,
                "samples": len(clip.samples),
                "seconds": round(_seconds(clip), 6),
                "start": clip.start.astimezone(context.zone).isoformat(timespec="milliseconds"),
                "first_sample": clip.start_sample,
                "last_sample": clip.stop_sample - 1,
                "before_seconds": self.config.before_seconds,
                "after_seconds": self.config.after_seconds,
                "gaps": [
                    {
                        "offset_samples": gap.index - clip.start_sample,
                        "offset_seconds": round((gap.index - clip.start_sample) / rate, 6),
                        "missing_seconds": round(gap.seconds, 6),
                        "cause": gap.cause,
                    }
                    for gap in clip.gaps
                ],
                "changes": changes,
            },
            "call": {
                "offset_samples": offset,
                "offset_seconds": round(offset / rate, 6),
                "samples": detection.end_sample - detection.start_sample,
                "seconds": round((detection.end_sample - detection.start_sample) / rate, 6),
            },
            "reviewed": False,
        }
        return (json.dumps(said, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()


def _picture(detection: Detection, clip: Clip, context: Context) -> bytes:
    from birdwatchd.actions.spectrogram import Caption, picture, readable

    label, rate = detection.label, clip.sample_rate
    call = (detection.start_sample - clip.start_sample, detection.end_sample - clip.start_sample)
    common, scientific = readable(label.common_name), readable(label.scientific_name)
    return picture(
        clip.samples,
        rate,
        call=(call[0] / rate, call[1] / rate),
        gaps=[((gap.index - clip.start_sample) / rate, gap.seconds) for gap in clip.gaps],
        caption=Caption(
            f"{common} ({scientific})  {detection.score:.2f}"
            if common
            else f"{scientific}  {detection.score:.2f}",
            f"{detection.source}  {clip.start.astimezone(context.zone):%Y-%m-%d %H:%M:%S}",
        ),
    )


def _seconds(clip: Clip) -> float:
    return len(clip.samples) / clip.sample_rate
