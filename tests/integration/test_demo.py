"""The README's first command, with the real model: it hears all its songs and nothing else, and sets off what it should."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile
from PIL import Image

from tests.integration import mosquitto
from tests.integration.mosquitto import PASSWORD, USER, Mosquitto

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(
        Path(sys.prefix).resolve() != ROOT / ".venv",
        reason="scripts/demo uses the checkout's own .venv; scripts/test runs these tests in it",
    ),
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg: apt-get install ffmpeg"),
    pytest.mark.usefixtures("birdnet_bundle"),
]


def demo(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "demo", *words], capture_output=True, text=True, timeout=280, check=False
    )


def listed(command: str, folder: Path) -> list[dict[str, Any]]:
    words = [sys.executable, "-m", "birdwatchd", command, "-c", str(folder / "config.yaml"), "--json"]
    rows: list[dict[str, Any]] = json.loads(
        subprocess.run(words, capture_output=True, text=True, check=True).stdout
    )
    return rows


def assert_heard_everything(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 songs heard, 0 heard that did not sing." in done.stdout
    assert sorted(row["common_name"] for row in listed("detections", folder)) == [
        "Black-capped Chickadee",
        "Black-capped Chickadee",
        "Common Cuckoo",
        "Great Tit",
    ]


def assert_everything_was_set_off(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    detections = {row["id"]: row for row in listed("detections", folder)}
    deliveries = listed("deliveries", folder)
    assert {(row["status"], row["error"]) for row in deliveries} == {("done", "")}
    cuckoo = next(row for row in detections.values() if row["common_name"] == "Common Cuckoo")
    assert sorted((row["action"], row["detection"]["id"]) for row in deliveries) == sorted(
        [(name, one) for name in ("tell-home", "keep") for one in detections] + [("photo", cuckoo["id"])]
    )

    messages = [json.loads(line) for line in (folder / "mqtt.jsonl").read_text().splitlines()]
    got = [one for one in messages if one["topic"] == "birdwatchd/demo/source/chorus"]
    assert {json.loads(one["payload"])["id"] for one in got} == detections.keys()
    assert "A subscriber got, at birdwatchd/demo/source/chorus" in done.stdout
    assert f'"ClipName": "{cuckoo["clip_path"]}"' in done.stdout

    for row in detections.values():
        stem = folder / "clips" / row["clip_path"]
        sung = (row["end_sample"] - row["start_sample"]) / 48_000
        # Three seconds before and after, as far as there are any.
        assert sung + 3 <= soundfile.info(f"{stem}.flac").duration <= sung + 6
        with Image.open(f"{stem}.png") as spectrogram:
            spectrogram.load()
    with Image.open(folder / "clips" / f"{cuckoo['clip_path']}_1.jpg") as picture:
        picture.load()
        assert picture.size == (640, 360)
    for suffix in (".flac", ".png", "_1.jpg"):
        assert f"{cuckoo['clip_path']}{suffix}\n" in done.stdout
    files = sorted(path for path in (folder / "clips" / cuckoo["clip_path"]).parent.iterdir())
    assert len(files) == 4 * 3 + 2, files


def test_the_fast_demo_hears_every_song_and_sets_off_what_it_should(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    for _ in range(2):  # the second run starts afresh
        done = demo("--fast", folder)
        assert_heard_everything(done, folder)
        assert_everything_was_set_off(done, folder)

    # What is missing is told, and the exit status tells it too.
    assert status_of_effects(folder)[0] == 0
    (picture,) = (folder / "clips").rglob("*_1.jpg")
    picture.write_text("<html>please log in</html>")
    assert_effects_miss(folder, "no picture")
    spectrogram = next((folder / "clips").rglob("Great_Tit*.png"))
    spectrogram.unlink()
    assert_effects_miss(folder, "not there")
    log = folder / "mqtt.jsonl"
    messages = log.read_text().splitlines(keepends=True)
    log.write_text("".join(line for line in messages if "Great Tit" not in line))
    assert_effects_miss(folder, "no subscriber got it")


def assert_effects_miss(folder: Path, what: str) -> None:
    status, told = status_of_effects(folder)
    assert status == 1
    assert what in told


def status_of_effects(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "effects.py", folder],
        input=json.dumps(listed("deliveries", folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.long
def test_the_demo_in_real_time_does_the_same(tmp_path: Path) -> None:
    done = demo(tmp_path)
    assert_heard_everything(done, tmp_path)
    assert_everything_was_set_off(done, tmp_path)


@pytest.mark.skipif(bool(mosquitto.missing()), reason=mosquitto.missing())
def test_the_demo_publishes_to_a_broker_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "demo"
    monkeypatch.setenv("MQTT_USERNAME", USER)
    monkeypatch.setenv("MQTT_PASSWORD", PASSWORD)
    with Mosquitto(tmp_path) as broker, broker.subscriber("birdwatchd/#", "homeassistant/#") as home:
        address = f"localhost:{broker.port}"
        done = demo("--fast", "--broker", address, folder)
        assert_heard_everything(done, folder)
        assert_everything_was_set_off(done, folder)
        assert len(home.wait_for("birdwatchd/demo/source/chorus", 4)) == 4
        # Home Assistant is told nothing of a demo, and the password is written nowhere.
        assert [one for one in home.heard() if one.topic.startswith("homeassistant/")] == []
        assert PASSWORD not in (folder / "config.yaml").read_text()

        monkeypatch.setenv("MQTT_PASSWORD", PASSWORD[::-1])
        refused = demo("--fast", "--broker", address, folder)
        assert refused.returncode == 2
        assert (
            refused.stderr
            == f"demo: there is no MQTT broker to be had at {address} (Not authorized); is it right?\n"
        )


def test_an_option_that_there_is_not_is_refused() -> None:
    done = demo("--loud")
    assert done.returncode == 2
    assert done.stderr == "demo: unknown option '--loud'; there are --fast, --live and --broker.\n"


def test_detections_and_clips_of_ones_own_are_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "clips" / "owl.flac"
    kept.parent.mkdir()
    kept.write_text("kept")
    done = demo("--fast", tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        f"demo: there are detections or clips in {tmp_path} that are not the demo's; name another folder.\n"
    )
    assert kept.read_text() == "kept"
