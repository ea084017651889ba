"""Three ways to get one picture out of a camera."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from birdwatchd.actions import GiveUp, Postpone
from birdwatchd.actions.child import Ended, Overdue, run_child
from birdwatchd.actions.http import open_client, server_of, why_no_answer
from birdwatchd.actions.picture import MOST_BYTES
from birdwatchd.actions.placeholders import fill_argument
from birdwatchd.config.address import redacted
from birdwatchd.config.opening import opening

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from pydantic import SecretStr

    from birdwatchd.actions.camera_settings import CameraConfig

FINAL = {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND, httpx.codes.GONE}


class NoShot(Postpone):
    """The camera gave nothing; the message says why, in a sentence."""


class EitherAuth(httpx.Auth):
    """Basic or digest, whichever the camera asks for: a password is never sent in clear to one that takes digest."""

    def __init__(self, user: str, password: str) -> None:
        self._basic = httpx.BasicAuth(user, password)
        self._digest = httpx.DigestAuth(user, password)
        self._chosen: httpx.Auth | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Ask without a password first, and then as the answer says."""
        if self._chosen is None:
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED:
                return
            offered = " ".join(response.headers.get_list("www-authenticate")).lower()
            self._chosen = self._digest if "digest" in offered else self._basic
        yield from self._chosen.auth_flow(request)


def by_command(
    config: CameraConfig,
    values: Mapping[str, str],
    environment: Mapping[str, str],
    seconds: float,
    *,
    ends_at: Callable[[], float],
) -> bytes:
    """What the program wrote."""
    with _place() as file:
        program, *arguments = config.words
        known = {**values, "file": str(file)}
        words = [program, *(fill_argument(one, known) for one in arguments)]
        ended = _run(words, environment, seconds, ends_at)
        if ended.status != 0:
            raise NoShot(ended.told(program))
        return _read(file, f"{program} wrote no picture{': ' * bool(ended.last_line)}{ended.last_line[:200]}")


def by_ffmpeg(
    config: CameraConfig, environment: Mapping[str, str], seconds: float, *, ends_at: Callable[[], float]
) -> bytes:
    """One frame."""
    url = _plain(config.url)
    with _place() as file:
        words, given = ffmpeg_words(url, config.ffmpeg_options, file)
        ended = _run(words, environment, seconds, ends_at, given)
        told = redacted(ended.last_line, url)[:200]
        if ended.status != 0:
            raise NoShot(f"ffmpeg got no picture{': ' * bool(told)}{told}")
        return _read(file, f"ffmpeg got no picture{': ' * bool(told)}{told}")


def ffmpeg_words(url: str, options: tuple[str, ...], file: Path) -> tuple[list[str], bytes]:
    """The arguments that make ffmpeg write one frame, and what it reads on its stdin."""
    usual: tuple[str, ...] = ()
    if url.lower().startswith(("rtsp://", "rtsps://")):
        usual = ("-rtsp_transport", "tcp")
    elif url.startswith("/dev/video"):
        usual = ("-f", "v4l2")
    opened = opening(url, usual, options)
    words = [
        *("ffmpeg", "-nostdin", "-nostats", "-hide_banner", "-loglevel", "error", *opened.words),
        *("-an", "-frames:v", "1", "-q:v", "2", "-f", "image2", "-update", "1", "-y", str(file)),
    ]
    return words, opened.given


class Snapshots:
    """Asks a camera's web server; keeps the connection, and how to log in."""

    def __init__(self, config: CameraConfig) -> None:
        self._config = config
        self._client: httpx.Client | None = None
        self._auth = EitherAuth(*config.login) if config.login else None

    def shoot(self, seconds: float) -> bytes:
        """What it answers, which may be no picture at all."""
        until = time.monotonic() + seconds
        address = self._config.url
        assert address is not None  # noqa: S101 - the config has seen to it
        if self._client is None:
            config = self._config
            self._client = open_client(0.9 * config.timeout_seconds, ca=config.ca, verify=config.verify)
        timeout = httpx.Timeout(seconds / 2, connect=seconds / 4)
        try:
            with self._client.stream("GET", _plain(address), auth=self._auth, timeout=timeout) as response:
                self._check(response, server_of(address))
                return _all_of(response, until, server_of(address))
        except httpx.HTTPError as error:
            raise NoShot(why_no_answer(error, address)) from None

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _check(self, response: httpx.Response, server: str) -> None:
        status = response.status_code
        if status in FINAL:
            hint = "; are username and password right?" if status == httpx.codes.UNAUTHORIZED else ""
            raise GiveUp(f"{server} answers {status}{hint}")
        if status != httpx.codes.OK:
            raise NoShot(f"{server} answers {status}")
        if response.headers.get("content-type", "").startswith("multipart/"):
            raise GiveUp(f"{server} sends a video at this address; write mode: ffmpeg")


def _all_of(response: httpx.Response, until: float, server: str) -> bytes:
    found = bytearray()
    for piece in response.iter_raw():
        found += piece
        if len(found) > MOST_BYTES:
            raise NoShot(f"{server} sends more than any picture has")
        if time.monotonic() > until:
            raise NoShot(f"{server} takes too long")
    return bytes(found)


@contextmanager
def _place() -> Iterator[Path]:
    """Where a program may write: not beside the clip, as nobody knows yet whether it is a picture."""
    with tempfile.TemporaryDirectory(prefix="birdwatchd-") as folder:
        yield Path(folder) / "picture.jpg"


def _run(
    words: list[str],
    environment: Mapping[str, str],
    seconds: float,
    ends_at: Callable[[], float],
    given: bytes = b"",
) -> Ended:
    try:
        return run_child(words, seconds=seconds, environment=environment, given=given, ends_at=ends_at)
    except Overdue as overdue:
        raise NoShot(str(overdue)) from None


def _read(file: Path, otherwise: str) -> bytes:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise NoShot("it is larger than any picture")
        return file.read_bytes()
    except FileNotFoundError:
        raise NoShot(otherwise) from None


def _plain(url: SecretStr | None) -> str:
    return "" if url is None else url.get_secret_value()
