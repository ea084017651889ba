"""`camera`: a detection is photographed.

camera.py           the action: whose turn it is, where the pictures go, what is noted
camera_settings.py  its settings
camera_shot.py      three ways to get a picture
camera_turn.py      one at a time
picture.py          what a picture is
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from birdwatchd import __version__
from birdwatchd.actions import Action, Context, GiveUp, Postpone
from birdwatchd.actions.camera_settings import CameraConfig
from birdwatchd.actions.camera_shot import NoShot, Snapshots, by_command, by_ffmpeg
from birdwatchd.actions.camera_turn import Busy, turn_of
from birdwatchd.actions.clip_files import stem_of, write_together
from birdwatchd.actions.payload import payload
from birdwatchd.actions.picture import SUFFIXES, NoPicture, suffix_of
from birdwatchd.actions.placeholders import meanings_of
from birdwatchd.actions.program import clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from birdwatchd.domain import Detection

LOCKS = ".cameras"
NUMBERING = ".numbering"
"""Two cameras may photograph the same detection. No camera can have this name."""
SHARE = 0.9
"""Of `timeout_seconds`: for everything but the last words."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture, and when it was taken."""

    content: bytes
    suffix: str
    taken: datetime
    """When it was complete."""
    latency_seconds: float
    """From the start of the sound until then."""
    camera_seconds: float
    """From when the camera was asked until then: the shutter opened in between."""


class Camera(Action):
    """Take a picture, or a few, of whoever sings.

    It lies beside the sound, with `_1.jpg`, `_2.jpg` … after the clip's name, and a `.json` that tells what it shows. What a
    camera gives is looked at before it is kept: a login page or half a picture is an error, and written nowhere. Two
    actions never use one camera at once.

    Each delivery notes `latency_seconds`, from the start of the sound until the first picture was complete, and
    `camera_seconds`, how much of that the camera took: the shutter opened within these last seconds.

    What the presets run, with `options` in place of the dots:

    - `rpicam-still --nopreview --timeout 500 … --output {file}`
    - `libcamera-still --nopreview --timeout 500 … --output {file}`
    - `gphoto2 --force-overwrite … --capture-image-and-download --filename {file}`
    - `fswebcam --no-banner --skip 2 --resolution 1280x720 … {file}`
    """

    class Config(CameraConfig):
        """Take a picture, or a few, of whoever sings."""

    config: CameraConfig
    durability = "ephemeral"
    default_max_age_seconds = 30.0

    def __init__(
        self, config: CameraConfig, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`now` tells when a picture was taken."""
        super().__init__(config)
        self._now = now
        self._snapshots = Snapshots(config)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Hang up."""
        self._snapshots.close()

    def run(self, detection: Detection, context: Context) -> None:
        """Wait for the camera's turn, and take them."""
        until = time.monotonic() + SHARE * self.config.timeout_seconds
        name = self.config.camera or self.config.name
        try:
            with turn_of(context.clips_folder / LOCKS / f"{name}.lock", until) as turn:
                rested = turn.rested_seconds()
                if rested is not None and rested < self.config.rest_seconds:
                    context.note(pictures=0, skipped=f"{name} rests: its last picture is {rested:.0f} s old")
                    return
                self._take_all(detection, context, until)
                turn.used()
        except Busy:
            raise Postpone(f"{name} is in use by another action") from None
        except OSError as error:
            raise Postpone(
                f"no picture can be kept in {context.clips_folder}: {error.strerror or error}"
            ) from None

    def probe(self, detection: Detection, context: Context) -> str:
        """Take a picture, and keep nothing of it."""
        began = time.monotonic()
        until = began + SHARE * self.config.timeout_seconds
        name = self.config.camera or self.config.name
        try:
            with turn_of(context.clips_folder / LOCKS / f"{name}.lock", until):
                shot = self._shoot(detection, context, until, began)
        except Busy:
            raise Postpone(f"{name} is in use by another action") from None
        except OSError as error:
            raise Postpone(f"{context.clips_folder} cannot be used: {error.strerror or error}") from None
        return f"it gives pictures ({len(shot.content) / 1000:.0f} kB) within {shot.camera_seconds:.1f} s"

    def _take_all(self, detection: Detection, context: Context, until: float) -> None:
        stem = stem_of(context.clips_folder, detection)
        for taken, asked in enumerate(self._moments(until)):
            try:
                shot = self._shoot(detection, context, until, asked)
            except (NoShot, GiveUp) as error:
                if taken == 0:
                    raise
                context.note(fault=str(error))
                return
            file = self._keep(stem, shot, detection, context, until)
            if taken == 0:
                context.note(
                    file=str(file.relative_to(context.clips_folder)),
                    latency_seconds=shot.latency_seconds,
                    camera_seconds=shot.camera_seconds,
                )
            context.note(pictures=taken + 1)

    def _moments(self, until: float) -> Iterator[float]:
        """When each picture is begun, in monotonic time; it is waited for. Ends early where there is no time for another."""
        begun = time.monotonic()
        for number in range(self.config.pictures):
            due = begun + number * self.config.interval_seconds
            if number and max(due, time.monotonic()) >= until:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            yield time.monotonic()

    def _shoot(self, detection: Detection, context: Context, until: float, asked: float) -> Shot:
        """A picture that is one; `asked` is when it was begun."""
        try:
            content = self._ask(detection, context, until - asked)
        except OSError as error:
            raise NoShot(f"the camera cannot be asked: {error.strerror or error}") from None
        taken, took = self._now(), time.monotonic() - asked
        try:
            suffix = suffix_of(content)
        except NoPicture as error:
            raise NoShot(f"what the camera gave is no picture: {error}") from None
        latency = (taken - detection.start).total_seconds()
        return Shot(content, suffix, taken, round(latency, 3), round(took, 3))

    def _ask(self, detection: Detection, context: Context, seconds: float) -> bytes:
        if self.config.mode == "http":
            return self._snapshots.shoot(seconds)
        environment = clean_environment(context.zone)
        if self.config.mode == "ffmpeg":
            return by_ffmpeg(self.config, environment, seconds, ends_at=lambda: self.ends_at)
        values = meanings_of(detection, context)
        return by_command(self.config, values, environment, seconds, ends_at=lambda: self.ends_at)

    def _keep(self, stem: Path, shot: Shot, detection: Detection, context: Context, until: float) -> Path:
        """Write it down as the next picture of this detection. Where it lies then."""
        with turn_of(context.clips_folder / LOCKS / f"{NUMBERING}.lock", until):
            number = 1
            while any(stem.with_name(f"{stem.name}_{number}{one}").exists() for one in SUFFIXES.values()):
                number += 1
            file = stem.with_name(f"{stem.name}_{number}{shot.suffix}")
            contents = {
                f"_{number}.json": self._sidecar(file.name, shot, detection, context),
                f"_{number}{shot.suffix}": shot.content,
            }
            full = context.make_room(sum(map(len, contents.values())))
            if full:
                raise Postpone(full)
            write_together(stem, contents)
        return file

    def _sidecar(self, file: str, shot: Shot, detection: Detection, context: Context) -> bytes:
        """What is said of a picture beside it; without it the clips folder's limits would not know the file as ours."""
        said = {
            "birdwatchd": __version__,
            **payload(detection, context),
            "picture": {
                "file": file,
                "camera": self.config.camera or self.config.name,
                "taken": shot.taken.astimezone(context.zone).isoformat(timespec="milliseconds"),
                "latency_seconds": shot.latency_seconds,
                "camera_seconds": shot.camera_seconds,
            },
            "reviewed": False,
        }
        return (json.dumps(said, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()
