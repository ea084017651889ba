"""Cameras without a camera: settings, turns, names and numbers. tests/integration/test_camera.py takes real pictures."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from birdwatchd.actions import GiveUp, Postpone
from birdwatchd.actions.camera import Camera
from birdwatchd.actions.camera_shot import NoShot, ffmpeg_words
from birdwatchd.actions.camera_turn import Busy, turn_of
from birdwatchd.store.shelf import Shelf
from tests.doubles import DAWN, FakeContext, sample_detection
from tests.pictures import picture

PLACE = "2026/05/09/garden-Parus_major-044210"


def camera(*argv: str, **settings: Any) -> Camera:
    given = {
        "name": "one",
        "kind": "camera",
        "mode": "command",
        **({"argv": argv} if argv else {}),
        **settings,
    }
    return Camera(Camera.Config.model_validate(given), now=lambda: DAWN + timedelta(seconds=7))


def copying(folder: Path, content: bytes | None = None, **settings: Any) -> Camera:
    """A camera that always takes the same picture."""
    (folder / "scene").write_bytes(picture() if content is None else content)
    return camera("cp", str(folder / "scene"), "{file}", **settings)


def kept(context: FakeContext) -> list[str]:
    """Everything that lies in the clips folder, but for the locks and what is said of pictures."""
    found = (
        path.relative_to(context.clips_folder) for path in context.clips_folder.rglob("*") if path.is_file()
    )
    return sorted(str(path) for path in found if path.parts[0] != ".cameras" and path.suffix != ".json")


@pytest.fixture
def context(tmp_path: Path) -> FakeContext:
    return FakeContext(clips_folder=tmp_path / "clips")


def test_the_picture_lies_beside_the_clip(tmp_path: Path, context: FakeContext) -> None:
    copying(tmp_path).run(sample_detection(), context)
    assert kept(context) == [f"{PLACE}_1.jpg"]
    assert (context.clips_folder / f"{PLACE}_1.jpg").read_bytes() == picture()
    assert (context.notes["file"], context.notes["pictures"]) == (f"{PLACE}_1.jpg", 1)


def test_the_latency_is_from_the_sound_to_the_picture(tmp_path: Path, context: FakeContext) -> None:
    began = time.monotonic()
    copying(tmp_path).run(sample_detection(), context)
    assert context.notes["latency_seconds"] == 7.0
    assert 0 <= float(context.notes["camera_seconds"]) <= time.monotonic() - began + 0.001  # it is rounded


def test_what_it_shows_is_told_beside_it(tmp_path: Path, context: FakeContext) -> None:
    copying(tmp_path, camera="porch").run(sample_detection(), context)
    told = json.loads((context.clips_folder / f"{PLACE}_1.json").read_text())
    assert told["detection"]["common_name"] == "Great Tit"
    assert told["picture"] == {
        "file": "garden-Parus_major-044210_1.jpg",
        "camera": "porch",
        "taken": "2026-05-09T04:42:17.250+00:00",
        "latency_seconds": 7.0,
        "camera_seconds": context.notes["camera_seconds"],
    }


def test_the_limits_of_the_clips_folder_hold_for_pictures(tmp_path: Path, context: FakeContext) -> None:
    copying(tmp_path, pictures=2, interval_seconds=0.01).run(sample_detection(), context)
    items = Shelf(context.clips_folder).look().items
    assert sorted(len(item.files) for item in items) == [2, 2]
    assert {item.species for item in items} == {"Parus major"}


def test_a_burst_is_numbered_and_so_is_what_comes_later(tmp_path: Path, context: FakeContext) -> None:
    copying(tmp_path, pictures=3, interval_seconds=0.01).run(sample_detection(), context)
    copying(tmp_path, picture("PNG"), name="two").run(sample_detection(), context)
    assert kept(context) == [*(f"{PLACE}_{number}.jpg" for number in (1, 2, 3)), f"{PLACE}_4.png"]
    assert (context.notes["file"], context.notes["pictures"]) == (f"{PLACE}_4.png", 1)


def test_a_detection_without_a_clip_has_a_place_too(tmp_path: Path, context: FakeContext) -> None:
    detection = sample_detection(clip_path="")
    copying(tmp_path).run(detection, context)
    assert kept(context) == [f"{detection.id}_1.jpg"]


@pytest.mark.parametrize("content", [b"", b"<html>login</html>", picture()[:3000]])
def test_what_is_no_picture_is_kept_nowhere(tmp_path: Path, context: FakeContext, content: bytes) -> None:
    with pytest.raises(NoShot, match="what the camera gave is no picture: it is"):
        copying(tmp_path, content).run(sample_detection(), context)
    assert kept(context) == []


def test_a_camera_that_fails_within_a_burst_leaves_what_it_took(tmp_path: Path, context: FakeContext) -> None:
    (tmp_path / "scene").write_bytes(picture())
    words = ("sh", "-c", f"mv {tmp_path}/scene $0 && echo taken", "{file}")
    camera(*words, pictures=3, interval_seconds=0.01).run(sample_detection(), context)
    assert kept(context) == [f"{PLACE}_1.jpg"]
    assert context.notes["pictures"] == 1
    assert "sh ended with status 1: mv: cannot stat" in str(context.notes["fault"])


def test_a_program_that_says_no_or_writes_nothing_is_an_error(context: FakeContext) -> None:
    with pytest.raises(NoShot, match="sh ended with status 1: no camera there"):
        camera("sh", "-c", "echo no camera there; exit 1", "{file}").run(sample_detection(), context)
    with pytest.raises(NoShot, match="sh wrote no picture: oh"):
        camera("sh", "-c", "echo oh", "{file}").run(sample_detection(), context)
    with pytest.raises(GiveUp, match="there is no program"):
        camera("/no/such/camera", "{file}").run(sample_detection(), context)


def test_programs_get_none_of_the_daemons_secrets(
    context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "hush")
    with pytest.raises(NoShot, match=r"wrote no picture: \[\]"):
        camera("sh", "-c", "echo [$MQTT_PASSWORD]", "{file}").run(sample_detection(), context)


def test_a_camera_rests(tmp_path: Path, context: FakeContext) -> None:
    one, two = (copying(tmp_path, name=name, camera="porch", rest_seconds=60) for name in ("one", "two"))
    one.run(sample_detection(), context)
    two.run(sample_detection(), context)
    assert "porch rests" in str(context.notes["skipped"])
    assert len(kept(context)) == 1
    long_ago = time.time() - 61
    os.utime(context.clips_folder / ".cameras" / "porch.lock", (long_ago, long_ago))
    two.run(sample_detection(), context)
    assert len(kept(context)) == 2


def test_a_camera_that_took_nothing_need_not_rest(tmp_path: Path, context: FakeContext) -> None:
    with pytest.raises(NoShot):
        copying(tmp_path, b"", rest_seconds=60).run(sample_detection(), context)
    copying(tmp_path, rest_seconds=60).run(sample_detection(), context)
    assert len(kept(context)) == 1


def test_two_actions_never_use_one_camera_at_once(tmp_path: Path, context: FakeContext) -> None:
    """The program fails where another one holds the camera."""
    (tmp_path / "scene").write_bytes(picture())
    take = f"mkdir {tmp_path}/held && sleep 0.1 && cp {tmp_path}/scene $0 && rmdir {tmp_path}/held"
    actions = [camera("sh", "-c", take, "{file}", name=f"a{n}", camera="porch") for n in range(4)]
    faults: list[Exception] = []

    def run(action: Camera) -> None:
        try:
            action.run(sample_detection(), FakeContext(clips_folder=context.clips_folder))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            faults.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(kept(context)) == 4


def test_cameras_of_their_own_lose_no_picture_to_each_other(tmp_path: Path, context: FakeContext) -> None:
    actions = [copying(tmp_path, name=f"a{n}", pictures=5, interval_seconds=0.01) for n in range(3)]
    threads = [
        threading.Thread(
            target=one.run, args=(sample_detection(), FakeContext(clips_folder=context.clips_folder))
        )
        for one in actions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept(context)) == 15


def test_a_camera_in_use_is_asked_for_later(tmp_path: Path, context: FakeContext) -> None:
    with (
        turn_of(context.clips_folder / ".cameras" / "one.lock", 0),
        pytest.raises(Postpone, match="one is in use by another action"),
    ):
        copying(tmp_path, timeout_seconds=0.3).run(sample_detection(), context)
    copying(tmp_path).run(sample_detection(), context)


def test_a_turn_is_over_when_it_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with turn_of(path, 0) as turn:
        assert turn.rested_seconds() is None
        with pytest.raises(Busy), turn_of(path, 0):
            pass
        turn.used()
    with turn_of(path, 0) as turn:
        assert turn.rested_seconds() is not None
    ahead = time.time() + 100
    os.utime(path, (ahead, ahead))
    with turn_of(path, 0) as turn:
        assert turn.rested_seconds() is None


def test_without_room_nothing_is_written(tmp_path: Path, context: FakeContext) -> None:
    context.full = "the disk is full"
    with pytest.raises(Postpone, match="the disk is full"):
        copying(tmp_path).run(sample_detection(), context)
    assert kept(context) == []


def test_ffmpeg_is_told_how_to_open_what() -> None:
    def words(url: str, *options: str) -> str:
        return " ".join(ffmpeg_words(url, options, Path("/x.jpg"))[0])

    assert " -rtsp_transport tcp -rtsp_transport udp -i rtsp://c/1 " in words(
        "rtsp://c/1", "-rtsp_transport", "udp"
    )
    assert " -f v4l2 -i /dev/video0 " in words("/dev/video0")
    assert " error -i http://c/1 " in words("http://c/1")


@pytest.mark.parametrize("preset", ["rpicam-still", "libcamera-still", "gphoto2", "fswebcam"])
def test_presets_are_ready_made(preset: str) -> None:
    words = camera(preset=preset, options=["--rotate", "180"]).config.words
    assert words[0] == preset
    assert words.index("--rotate") < words.index("{file}")
    documented = " ".join(words).replace("--rotate 180", "…")
    assert f"- `{documented}`\n" in (Camera.__doc__ or "")


def test_a_missing_program_is_told_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    (told,) = camera(preset="gphoto2").config.warnings()
    assert told.startswith("one: there is no program gphoto2")
    (told,) = camera(mode="ffmpeg", url="/dev/video0").config.warnings()
    assert told.startswith("one: there is no program ffmpeg")
    assert list(camera(mode="http", url="http://c/").config.warnings()) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "command"},
        {"mode": "command", "preset": "fswebcam", "argv": ["x", "{file}"]},
        {"mode": "command", "argv": ["x"]},
        {"mode": "command", "argv": ["{file}"]},
        {"mode": "command", "argv": ["x", "{fil}"]},
        {"mode": "command", "argv": ["x", "{file}"], "options": ["-a"]},
        {"mode": "command", "preset": "fswebcam", "options": ["-d /dev/video1"]},
        {"mode": "command", "preset": "fswebcam", "url": "http://c/"},
        {"mode": "http"},
        {"mode": "http", "url": "rtsp://c/"},
        {"mode": "http", "url": "http://c/", "username": "x"},
        {"mode": "http", "url": "http://c/", "preset": "fswebcam"},
        {"mode": "ffmpeg"},
        {"mode": "ffmpeg", "url": "-y"},
        {"mode": "ffmpeg", "url": "rtsp://c/", "username": "x", "password": "y"},
        {"mode": "http", "url": "http://c/", "pictures": 0},
        {"mode": "http", "url": "http://c/", "pictures": 20, "interval_seconds": 2},
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Camera.Config.model_validate({"name": "one", "kind": "camera", **settings})


def test_a_login_in_the_address_is_one() -> None:
    assert camera(mode="http", url="http://me:p%40ss@c/").config.login == ("me", "p@ss")
    assert camera(mode="http", url="http://c/").config.login is None
