"""What the `camera` action has in the config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import httpx
from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, model_validator

from birdwatchd.actions.http import is_web_address
from birdwatchd.actions.placeholders import MEANINGS, refuse_unknown
from birdwatchd.actions.program import missing_program, program_path, refuse_in_script
from birdwatchd.config.kinds import FilePath, Name, Numeric, Option, Seconds, SomeText, Takes, refusal
from birdwatchd.config.opening import EXPOSED, opening
from birdwatchd.config.trigger import ActionConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

FILE = {"file": "where the picture has to be written"}
PRESETS = {
    "rpicam-still": (("rpicam-still", "--nopreview", "--timeout", "500"), ("--output", "{file}")),
    "libcamera-still": (("libcamera-still", "--nopreview", "--timeout", "500"), ("--output", "{file}")),
    "gphoto2": (("gphoto2", "--force-overwrite"), ("--capture-image-and-download", "--filename", "{file}")),
    "fswebcam": (("fswebcam", "--no-banner", "--skip", "2", "--resolution", "1280x720"), ("{file}",)),
}
"""The words before and after the user's `options`."""


def _words(words: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    program, *arguments = words
    if "{" in program:
        raise ValueError("must not have a placeholder in its first item: that names the program")
    for argument in arguments:
        refuse_unknown(argument, FILE | MEANINGS)
    if not any("{file}" in argument for argument in arguments):
        raise ValueError("must say with {file} where the program has to write the picture")
    refuse_in_script([word.replace("{file}", "") for word in words])
    return (program_path(program, info), *arguments)


CameraWords = Annotated[
    tuple[SomeText, ...],
    Field(min_length=1, max_length=200),
    AfterValidator(_words),
    Takes("a list: the program, and each argument as an item of its own"),
]


class CameraConfig(ActionConfig):
    """Take a picture, or a few, of whoever sings."""

    mode: Literal["command", "http", "ffmpeg"]
    """`command`: a program takes it. `http`: the camera's snapshot address gives it. `ffmpeg`: one frame of a video stream or device."""
    camera: Name | None = None
    """Names the camera: actions with the same one take turns, and share its rest. The action's own name when left out."""
    preset: Literal["rpicam-still", "libcamera-still", "gphoto2", "fswebcam"] | None = None
    """For `command`: a program that is known."""
    options: tuple[Option, ...] = ()
    """For `preset`: options of your own, one word each, such as `[--width, "1280"]`; they win over the preset's."""
    argv: CameraWords | None = None
    """For `command`, instead of `preset`: the program and its arguments, one item each. `{file}` is where it has to write the picture; `{species}` and the other placeholders of `command` are replaced too."""
    url: Annotated[SecretStr, Field(min_length=1), Takes("an address")] | None = None
    """For `http`: the address of a snapshot. For `ffmpeg`: whatever ffmpeg opens, such as `rtsp://…`, `http://…/video.mjpg` or `/dev/video0`. `${NAME}` is replaced from the environment."""
    username: SomeText | None = None
    """For `http`: user at the camera; basic or digest, as the camera asks for it."""
    password: Annotated[SecretStr, Takes("text")] | None = None
    """For `http`: its password; `${NAME}` is replaced from the environment."""
    ca: FilePath | None = None
    """For `http`: certificate (PEM) of the authority that signed the camera's; the system's authorities when left out."""
    verify: bool = True
    """For `http`: off takes any certificate, as cameras sign their own; for a network that you trust."""
    ffmpeg_options: tuple[Option, ...] = ()
    """For `ffmpeg`: options that go before `-i`, one word each, such as `[-video_size, 1280x720]`."""
    pictures: Annotated[int, Field(ge=1, le=20), Numeric] = 1
    """How many, one after the other."""
    interval_seconds: Seconds = 1.0
    """From the beginning of one to the beginning of the next; longer when the camera takes longer."""
    rest_seconds: Annotated[float, Field(ge=0), Numeric] = 0.0
    """So long after its last picture the camera is left alone; a detection in this time gets none."""

    @model_validator(mode="after")
    def _mode_has_what_it_needs(self) -> Self:
        if self.mode == "command" and (self.preset is None) == (self.argv is None):
            raise refusal("a section with `preset` or `argv`", "mode: command needs the one or the other")
        if self.mode != "command" and self.url is None:
            raise refusal("a section with `url`", f"mode: {self.mode} needs the camera's address")
        of_others = {
            "command": (self.url, self.username, self.ffmpeg_options),
            "http": (self.preset, self.argv, self.ffmpeg_options),
            "ffmpeg": (self.preset, self.argv, self.username),
        }
        if any(of_others[self.mode]):
            raise refusal(f"a section for mode: {self.mode}", "take out the settings of other modes")
        if self.options and self.preset is None:
            raise refusal("a section with `preset`", "`options` belong to one; write them into `argv`")
        if (self.username is None) != (self.password is None):
            raise refusal("a section with `username` and `password`", "the one needs the other")
        if self.url is not None:
            self._check_address(self.url.get_secret_value())
        if (self.pictures - 1) * self.interval_seconds >= self.timeout_seconds:
            raise refusal(
                "a section whose pictures fit into `timeout_seconds`",
                "make timeout_seconds longer, or the interval shorter",
            )
        return self

    def _check_address(self, url: str) -> None:
        if self.mode == "http" and not is_web_address(url):
            raise refusal("a section whose `url` is that of a web server", "mode: http reads a snapshot")
        if url.startswith("-"):
            raise refusal("a section whose `url` is an address", "it cannot begin with -")

    def warnings(self) -> Iterator[str]:
        """What `birdwatchd check` should tell."""
        program = self.words[0] if self.mode == "command" else "ffmpeg"
        missing = "" if self.mode == "http" else missing_program(program)
        if missing:
            yield f"{self.name}: {missing}"
        if self.mode == "ffmpeg" and self.url is not None:
            why = opening(self.url.get_secret_value(), (), self.ffmpeg_options).exposed
            if why:
                yield f"{self.name}: {EXPOSED}: {why}"

    @property
    def words(self) -> tuple[str, ...]:
        """For `command`: the program and its arguments, with their placeholders."""
        if self.preset is not None:
            before, after = PRESETS[self.preset]
            return (*before, *self.options, *after)
        return self.argv or ()

    @property
    def login(self) -> tuple[str, str] | None:
        """For `http`: user and password, also where they stand in the address."""
        if self.mode != "http" or self.url is None:
            return None
        if self.username is not None and self.password is not None:
            return self.username, self.password.get_secret_value()
        url = httpx.URL(self.url.get_secret_value())
        return (url.username, url.password) if url.username else None
