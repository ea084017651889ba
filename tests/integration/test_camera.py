"""Real pictures: a camera program, a web server that wants a password, an RTSP server, an MJPEG stream, a test source."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from birdwatchd.actions import GiveUp
from birdwatchd.actions.camera import Camera
from birdwatchd.actions.camera_shot import NoShot
from tests.doubles import FakeContext, sample_detection
from tests.integration import rtsp
from tests.integration.web import WebServer, own_certificate
from tests.pictures import picture
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg: apt-get install ffmpeg")
needs_fswebcam = pytest.mark.skipif(
    shutil.which("fswebcam") is None, reason="no fswebcam: apt-get install fswebcam"
)
needs_rtsp = pytest.mark.skipif(rtsp.missing() != "", reason=rtsp.missing())
LOGIN = {"username": "birds", "password": "w:ren"}


@pytest.fixture
def context(tmp_path: Path) -> FakeContext:
    return FakeContext(clips_folder=tmp_path / "clips")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    with WebServer(tmp_path / "web") as running:
        running.shows(picture())
        yield running


def take(context: FakeContext, **settings: Any) -> list[tuple[int, int]]:
    """Take what is asked for; the sizes of all pictures that lie there then."""
    given = {"name": "one", "kind": "camera", **settings}
    with Camera(Camera.Config.model_validate(given)) as camera:
        camera.run(sample_detection(), context)
    sizes = []
    for path in sorted(context.clips_folder.rglob("*.jpg")):
        with Image.open(path) as shot:
            shot.load()
            sizes.append(shot.size)
    return sizes


@needs_fswebcam
def test_a_known_program_takes_it(context: FakeContext) -> None:
    options = ["-d", "TEST:colourbars", "-r", "320x240"]
    assert take(context, mode="command", preset="fswebcam", options=options) == [(320, 240)]


@needs_fswebcam
def test_a_program_without_its_camera_is_an_error(context: FakeContext) -> None:
    with pytest.raises(NoShot, match="fswebcam"):
        take(context, mode="command", preset="fswebcam", options=["-d", "/dev/video99"])


@needs_ffmpeg
def test_a_burst_of_a_test_source(context: FakeContext) -> None:
    lavfi = {"url": "testsrc=size=320x240:rate=5", "ffmpeg_options": ["-f", "lavfi"]}
    assert take(context, mode="ffmpeg", **lavfi, pictures=3, interval_seconds=0.1) == [(320, 240)] * 3
    assert context.notes["pictures"] == 3


@needs_ffmpeg
@needs_rtsp
@pytest.mark.parametrize("login", ["", "me:hushhush@"])
def test_a_frame_of_an_rtsp_camera(context: FakeContext, tmp_path: Path, login: str) -> None:
    with rtsp.RtspServer(tmp_path / "no-sound.wav") as running:
        url = running.video_url.replace("//", f"//{login}")
        assert take(context, mode="ffmpeg", url=url) == [(320, 240)]


@needs_ffmpeg
@pytest.mark.parametrize("query", ["", "?token=hushhush"])
def test_a_frame_of_an_mjpeg_stream(context: FakeContext, query: str) -> None:
    url = f"http://127.0.0.1:{free_port()}/cam.mjpg{query}"
    source = ("-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=5", "-c:v", "mjpeg", "-f", "mpjpeg")
    with subprocess.Popen(["ffmpeg", *source, "-listen", "1", url], stderr=subprocess.DEVNULL) as stream:
        try:
            # It takes one caller, so it cannot be asked whether it is up; ffmpeg asks again until it is.
            again = ["-reconnect_on_network_error", "1"]
            assert take(context, mode="ffmpeg", url=url, ffmpeg_options=again) == [(320, 240)]
        finally:
            stream.kill()


@pytest.mark.parametrize("path", ["picture", "basic", "digest"])
def test_a_snapshot_with_and_without_a_password(server: WebServer, context: FakeContext, path: str) -> None:
    login = {} if path == "picture" else LOGIN
    assert take(context, mode="http", url=f"{server.url}/{path}", **login) == [(320, 240)]


def test_a_password_is_not_sent_in_clear_where_digest_is_taken(
    server: WebServer, context: FakeContext
) -> None:
    settings = {"pictures": 3, "interval_seconds": 0.01}
    assert len(take(context, mode="http", url=f"{server.url}/digest", **LOGIN, **settings)) == 3
    said = [request.headers.get("authorization", "").partition(" ")[0] for request in server.requests]
    assert set(said) == {"", "Digest"}
    # Once it knows how, it does not ask without any more.
    assert said[-2:] == ["Digest", "Digest"]
    assert len({request.peer for request in server.requests}) == 1


def test_a_password_may_stand_in_the_address(server: WebServer, context: FakeContext) -> None:
    url = server.url.replace("//", "//birds:w%3Aren@")
    assert take(context, mode="http", url=f"{url}/digest") == [(320, 240)]


@pytest.mark.parametrize(
    ("path", "raises", "told"),
    [
        ("digest", GiveUp, "answers 401; are username and password right"),
        ("basic", GiveUp, "answers 401; are username and password right"),
        ("status/404", GiveUp, "answers 404"),
        ("status/503", NoShot, "answers 503"),
        ("moved", NoShot, "answers 302"),
    ],
)
def test_a_refusal_is_told(
    server: WebServer, context: FakeContext, path: str, raises: type[Exception], told: str
) -> None:
    login = {"username": "birds", "password": "hushhush"}
    with pytest.raises(raises, match=told) as error:
        take(context, mode="http", url=f"{server.url}/{path}", **login)
    assert "hush" not in str(error.value)
    assert not list(context.clips_folder.rglob("*.jpg*"))


def test_a_camera_that_signs_its_own_certificate(context: FakeContext, tmp_path: Path) -> None:
    certificate, known = own_certificate(tmp_path)
    with WebServer(tmp_path / "web", certificate=certificate) as server:
        server.shows(picture())
        url = f"{server.url}/picture"
        with pytest.raises(NoShot, match="cannot be reached: certificate verify failed"):
            take(context, mode="http", url=url)
        assert len(take(context, mode="http", url=url, ca=str(known))) == 1
        assert len(take(context, mode="http", url=url, verify=False)) == 2


@needs_ffmpeg
def test_ffmpeg_does_not_tell_the_password(context: FakeContext) -> None:
    with pytest.raises(NoShot, match=r"ffmpeg got no picture: .*refused") as error:
        take(context, mode="ffmpeg", url=f"rtsp://me:hushhush@127.0.0.1:{free_port()}/1")
    assert "hushhush" not in str(error.value)
