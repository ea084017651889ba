"""Sound and pictures come by the id of their detection, and by nothing else."""

from __future__ import annotations

import io
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from birdwatchd.domain import Tally
from birdwatchd.store import deliveries
from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Order, Outcome
from birdwatchd.store.outbox import Outbox
from tests.rows import BLACKBIRD, COOT, DAWN, GREAT_TIT, detection
from tests.web.keeping import keep_picture, keep_sound
from tests.web.made_up import made_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

    from birdwatchd.domain import Detection
    from tests.web.made_up import MadeUp

TIT = detection(10, GREAT_TIT, clip_path="2026/05/09/Great_Tit_06-42-20_garden_3f0c12ab")
VOICED = detection(20, COOT, clip_path="2026/05/09/voiced", voice=True)
BARE = detection(30, BLACKBIRD, clip_path="2026/05/09/bare")
EVIL = detection(40, BLACKBIRD, clip_path="../secret")
CLIPS = "/api/v1/clips"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> MadeUp:
    return made_up(tmp_path_factory.mktemp("house"), [TIT, VOICED, BARE, EVIL])


@pytest.fixture(scope="module")
def client(house: MadeUp) -> TestClient:
    return house.ask()


@pytest.fixture(autouse=True)
def folder(house: MadeUp, tmp_path: Path) -> Path:
    """The clips folder, another one for each test."""
    store = house.config.store.model_copy(update={"clips_folder": tmp_path / "clips"})
    house.config = house.config.model_copy(update={"store": store})
    return tmp_path / "clips"


@pytest.fixture
def clean(house: MadeUp) -> Iterator[Path]:
    """The database, in which no delivery is left afterwards."""
    yield house.config.store.database
    with Database.open_beside(house.config.store.database) as database, database.transaction() as connection:
        connection.execute("DELETE FROM deliveries")


def test_what_is_kept_is_told(client: TestClient, folder: Path) -> None:
    sound = keep_sound(folder, TIT, gap=0.25)
    keep_picture(folder, TIT, 2)
    assert client.get(f"{CLIPS}/{TIT.id}").json() == {
        "id": TIT.id,
        "sound": {
            "file": "Great_Tit_06-42-20_garden_3f0c12ab.flac",
            "format": "flac",
            "bytes": len(sound),
            "seconds": 10.5,
            "sample_rate": 48000,
            "call": {"begin_seconds": 3.0, "end_seconds": 7.5},
            "gaps": [{"offset_seconds": 1.0, "missing_seconds": 0.25, "cause": "lost"}],
            "changes": {"high_pass_hz": 200.0},
        },
        "missing": "",
        "pictures": [
            {"number": 2, "camera": "gate", "taken": "2026-05-09T06:42:11.000+02:00", "latency_seconds": 0.75}
        ],
    }


def test_the_sound_is_the_file_and_any_range_of_it(client: TestClient, folder: Path) -> None:
    sound = keep_sound(folder, TIT)
    address = f"{CLIPS}/{TIT.id}/sound"
    whole = client.get(address)
    assert (whole.status_code, whole.content) == (200, sound)
    assert whole.headers["content-type"] == "audio/flac"
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-disposition"].startswith("inline")
    for asked, part in (("0-99", sound[:100]), ("500-", sound[500:]), ("-7", sound[-7:])):
        answer = client.get(address, headers={"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.content) == (206, part)
    assert client.get(address, headers={"Range": f"bytes={len(sound)}-"}).status_code == 416
    head = client.head(address)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(sound)))
    saved = client.get(address, params={"download": True}).headers["content-disposition"]
    assert saved == 'attachment; filename="Great_Tit_06-42-20_garden_3f0c12ab.flac"'


@pytest.mark.parametrize("kept", ["flac", "wav", "ogg"])
@pytest.mark.parametrize("wanted", ["flac", "wav"])
def test_sound_comes_as_wav_and_flac_whatever_is_kept(
    client: TestClient, folder: Path, kept: str, wanted: str
) -> None:
    sound = keep_sound(folder, TIT, form=kept)
    address = f"{CLIPS}/{TIT.id}/sound"
    answer = client.get(address, params={"format": wanted})
    assert answer.headers["content-type"] == f"audio/{wanted}"
    got, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    there, _ = soundfile.read(io.BytesIO(sound), dtype="float32")
    assert (rate, soundfile.info(io.BytesIO(answer.content)).format) == (48000, wanted.upper())
    np.testing.assert_allclose(got, there, atol=1 / 32768)
    if kept != "ogg":
        assert np.array_equal(got, there)
    part = client.get(
        address,
        params={"format": wanted},
        headers={"Range": "bytes=100-199", "If-Range": answer.headers["etag"]},
    )
    assert (part.status_code, part.content) == (206, answer.content[100:200])


def test_an_m4a_is_converted_by_ffmpeg(client: TestClient, folder: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg on the PATH")
    from birdwatchd.actions.clip_sound import encode, to_pcm16

    keep_sound(folder, TIT)
    flac = folder / f"{TIT.clip_path}.flac"
    samples, rate = soundfile.read(flac, dtype="float32")
    flac.with_suffix(".m4a").write_bytes(encode(to_pcm16(samples), rate, "aac"))
    flac.unlink()
    answer = client.get(f"{CLIPS}/{TIT.id}/sound", params={"format": "wav"})
    got, _ = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    assert abs(len(got) - len(samples)) < 4096
    assert client.get(f"{CLIPS}/{TIT.id}/sound").headers["content-type"] == "audio/mp4"


def test_raven_opens_the_table_beside_the_clip(client: TestClient, folder: Path) -> None:
    keep_sound(folder, TIT)
    answer = client.get(f"{CLIPS}/{TIT.id}/raven")
    names, row = (line.split("\t") for line in answer.text.splitlines())
    told = dict(zip(names, row, strict=True))
    assert (told["Begin Time (s)"], told["End Time (s)"]) == ("3.000", "7.500")
    assert (told["Common Name"], told["Confidence"]) == ("Great Tit", "0.9300")
    assert answer.headers["content-disposition"] == (
        'attachment; filename="Great_Tit_06-42-20_garden_3f0c12ab.Table.1.selections.txt"'
    )
    assert client.get(f"{CLIPS}/{TIT.id}/raven").headers["etag"] == answer.headers["etag"]


def test_the_cameras_pictures_come_by_their_number(client: TestClient, folder: Path) -> None:
    there = keep_picture(folder, TIT, 2)
    answer = client.get(f"{CLIPS}/{TIT.id}/pictures/2")
    assert (answer.content, answer.headers["content-type"]) == (there, "image/jpeg")
    for number in (1, 0, -2, "2.jpg", "..%2F2", 10**9):
        assert client.get(f"{CLIPS}/{TIT.id}/pictures/{number}").status_code in (404, 422)


def drawn(client: TestClient, **asked: Any) -> tuple[int, Image.Image]:
    answer = client.get(f"{CLIPS}/{TIT.id}/spectrogram.png", params=asked)
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(answer.content))
    image.load()
    return answer.status_code, image


def test_the_spectrogram_shows_the_call_where_it_is(client: TestClient, folder: Path) -> None:
    keep_sound(folder, TIT)
    _, image = drawn(client, width=105, height=150)
    pixels = np.asarray(image.convert("L"))
    assert pixels.shape == (150, 105)
    row = pixels[round((15_000 - 4000) / 100) - 1]
    assert row[35:70].min() > 150
    assert row[:25].max() < 120
    _, image = drawn(
        client, width=100, height=100, begin=4, end=6, low_hz=3000, high_hz=5000, colours="paper"
    )
    pixels = np.asarray(image.convert("L"))
    assert pixels[45:55].min() < 60
    assert pixels[:20].min() > 180


def test_a_spectrogram_that_is_known_is_not_drawn_again(client: TestClient, folder: Path) -> None:
    keep_sound(folder, TIT)
    address = f"{CLIPS}/{TIT.id}/spectrogram.png"
    first = client.get(address)
    known = {"If-None-Match": first.headers["etag"]}
    assert client.get(address, headers=known).status_code == 304
    assert client.get(address, headers=known, params={"width": 300}).status_code == 200


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"width": 4001}, "width"),
        ({"height": 1201}, "height"),
        ({"begin": 11}, "the sound has 10.500 s, so nothing lies from 11 to 600 s"),
        ({"low_hz": 30_000, "high_hz": 40_000}, "the sound reaches from 0 to 24000 Hz"),
        ({"begin": "nan"}, "begin"),
        ({"end": "inf"}, "end"),
        ({"colours": "pink"}, "colours"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_a_sentence(
    client: TestClient, folder: Path, asked: dict[str, Any], why: str
) -> None:
    keep_sound(folder, TIT)
    answer = client.get(f"{CLIPS}/{TIT.id}/spectrogram.png", params=asked)
    assert answer.status_code == 422
    assert why in answer.json()["detail"]


FILES = ("sound", "sound?format=wav", "spectrogram.png", "raven")


def refusal(client: TestClient, one: Detection) -> str:
    said = {client.get(f"{CLIPS}/{one.id}/{file}").json()["detail"] for file in FILES}
    assert {client.get(f"{CLIPS}/{one.id}/{file}").status_code for file in FILES} == {404}
    assert said == {client.get(f"{CLIPS}/{one.id}").json()["missing"]}
    return str(said.pop())


def deliver(path: Path, one: Detection, status: Any = None, error: str = "", **notes: Any) -> None:
    with Database.open_beside(path) as database:
        outbox = Outbox(database)
        with database.transaction() as connection:
            order = Order("keep", "bounded", timedelta(days=7))
            deliveries.add(connection, one, Tally(1, True, True, False), [order], now=DAWN)
        if status:
            (entry,) = deliveries.of(database, one.id)
            outbox.settle([Outcome(entry.number, status, 1, error, notes=notes)], DAWN)


def test_where_there_is_no_sound_it_is_said_why(client: TestClient, clean: Path) -> None:
    assert refusal(client, VOICED) == "A person spoke meanwhile: sound with voices is not kept."
    assert refusal(client, BARE).startswith("Its sound is not there: either none was kept")
    deliver(clean, BARE)
    assert refusal(client, BARE).startswith("Its sound is on its way: keep writes it")
    deliver(clean, BARE, "lost", "audio gone: it was in the memory of a run that has ended")
    assert refusal(client, BARE) == (
        "Its sound could not be kept: audio gone: it was in the memory of a run that has ended."
    )


def test_what_retention_removed_is_said(client: TestClient, clean: Path, folder: Path) -> None:
    keep_sound(folder, TIT)
    deliver(clean, TIT, "done", kept=True)
    assert client.get(f"{CLIPS}/{TIT.id}/sound").status_code == 200
    (folder / f"{TIT.clip_path}.flac").unlink()
    assert refusal(client, TIT).startswith("Its sound was kept, and has given way since: store.retention")


def test_a_voice_that_the_action_found_is_said(client: TestClient, clean: Path) -> None:
    deliver(clean, TIT, "done", kept=False, why="a person speaks")
    assert refusal(client, TIT) == "Its sound was not kept: a person speaks."


def test_nothing_outside_of_the_folder_is_ever_sent(client: TestClient, tmp_path: Path, folder: Path) -> None:
    keep_sound(tmp_path, detection(clip_path="secret"))
    folder.mkdir()
    refusal(client, EVIL)
    sound = folder / f"{TIT.clip_path}.flac"
    keep_sound(folder, TIT)
    sound.unlink()
    sound.symlink_to(tmp_path / "secret.flac")
    refusal(client, TIT)
    (folder / "2026/05").rename(tmp_path / "05")
    (folder / "2026/05").symlink_to(tmp_path / "05")
    keep_sound(folder, BARE)
    refusal(client, BARE)


@pytest.mark.parametrize(
    "id",
    [
        "..",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "x" * 20,
        "0" * 20 + "%00",
        "0" * 19 + "%0a",
        "0" * 21,
    ],
)
def test_no_path_from_a_request_reaches_the_disk(client: TestClient, folder: Path, id: str) -> None:  # noqa: A002 - that is what it is
    keep_sound(folder, TIT)
    for file in ("", *(f"/{file}" for file in FILES), "/pictures/1"):
        assert client.get(f"{CLIPS}/{id}{file}").status_code in (404, 422)


def test_what_is_no_sound_is_said(client: TestClient, folder: Path) -> None:
    keep_sound(folder, TIT)
    (folder / f"{TIT.clip_path}.flac").write_bytes(b"not a sound at all" * 100)
    for file in ("spectrogram.png", "sound?format=wav"):
        answer = client.get(f"{CLIPS}/{TIT.id}/{file}")
        assert answer.status_code == 404
        assert answer.json()["detail"].startswith("What lies there is no sound that can be read")
