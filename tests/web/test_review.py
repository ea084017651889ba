"""The review page: what is judged is written down, and the next one comes."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from birdwatchd.domain import Label
from birdwatchd.store import reviews
from birdwatchd.store.database import Database
from birdwatchd.web.labels import named, search
from birdwatchd.web.password import hash_of
from tests.integration.waiting import wait_until
from tests.rows import BLACKBIRD, COOT, GREAT_TIT, detection
from tests.shelves import keep
from tests.web.keeping import keep_sound
from tests.web.made_up import MadeUp, made_up

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page
    from starlette.testclient import TestClient

    from tests.web.station import Station

NOW = datetime.now(UTC)
TITS = [
    detection(
        start=NOW - timedelta(minutes=number),
        end=NOW - timedelta(minutes=number) + timedelta(seconds=4),
        id=f"{number:020x}",
        score=0.71 + number / 100,
        clip_path=f"Great_Tit/{number}",
    )
    for number in range(3)
]


@pytest.fixture
def house(tmp_path: Path) -> MadeUp:
    for one in TITS:
        keep(tmp_path / "clips", one.clip_path)
    return made_up(tmp_path, TITS)


def said(house: MadeUp, number: int = 0) -> list[tuple[str, str, str, str]]:
    with Database.open(house.config.store.database, read_only=True) as database:
        return [
            (one.verdict, one.scientific_name, one.reviewer, one.queue)
            for one in reviews.of(database, TITS[number].id)
        ]


def csrf(client: TestClient, path: str = "/review") -> str:
    found = re.search(r'name="csrf-token" content="([^"]*)"', client.get(path).text)
    assert found
    return found[1]


def judge(client: TestClient, **fields: Any) -> Any:
    shown = client.get("/review")
    csrf = re.search(r'name="csrf-token" content="([^"]*)"', shown.text)
    assert csrf
    form = {
        "detection": TITS[0].id,
        "csrf": csrf[1],
        "queue": "doubtful",
        "why": "doubtful",
        "reviewer": "Ada",
    }
    return client.post("/review", data={**form, **fields})


def test_a_verdict_is_written_down_and_the_next_comes(house: MadeUp) -> None:
    with house.ask() as client:
        assert TITS[0].id in client.get("/review").text
        answer = judge(client, verdict="right")
        assert answer.status_code == 303
        following = client.get(answer.headers["location"]).text
    assert said(house) == [("right", "", "Ada", "doubtful")]
    assert f'name="detection" value="{TITS[1].id}"' in following
    assert "1 detection judged today" in following


def test_what_is_taken_back_waits_again(house: MadeUp) -> None:
    with house.ask() as client:
        judge(client, verdict="wrong")
        answer = judge(client, verdict="withdrawn")
        assert f"at={TITS[0].id}" in answer.headers["location"]
        assert TITS[0].id in client.get("/review").text
    assert [one[0] for one in said(house)] == ["wrong", "withdrawn"]


@pytest.mark.parametrize("typed", ["Fulica atra", "blasshuhn", "Fulica atra_Bläßhuhn"])
def test_another_species_is_one_of_the_labels(house: MadeUp, typed: str) -> None:
    with house.ask() as client:
        assert judge(client, verdict="other", heard=typed).status_code == 303
    assert said(house) == [("other", "Fulica atra", "Ada", "doubtful")]


def test_a_species_that_the_model_does_not_know_is_kept_when_it_is_meant_so(house: MadeUp) -> None:
    with house.ask() as client:
        asked = judge(client, verdict="other", heard="blackb").text
        assert "The model has no label “blackb”" in asked
        assert "Common Blackbird</button>" in asked
        assert said(house) == []
        # What a suggestion sends: what was typed, and then what it means.
        judge(client, verdict="other", heard=["blackb", "Turdus merula"])
        judge(client, verdict="other", heard=" Ficedula  parva_Red-breasted Flycatcher ", as_typed="true")
    assert [one[:2] for one in said(house)] == [("other", "Turdus merula"), ("other", "Ficedula parva")]


def test_what_cannot_be_judged_is_refused(house: MadeUp) -> None:
    with house.ask() as client:
        assert judge(client, verdict="right", detection="f" * 20).status_code == 404
        assert judge(client, verdict="perhaps").status_code == 422
        assert judge(client, verdict="right", reviewer="\u202ename").status_code == 422
        assert client.get("/review?at=nothing").status_code == 404
    assert said(house) == []


def test_a_name_is_remembered_and_shown_as_it_is(house: MadeUp) -> None:
    with house.ask() as client:
        judge(client, verdict="unsure", reviewer='<b>"Ada"</b>; ß')
        text = client.get(f"/review?at={TITS[0].id}").text
    assert "<b>" not in text
    assert text.count("&lt;b&gt;&#34;Ada&#34;&lt;/b&gt;; ß") >= 2


def test_the_picture_shows_what_was_reported(house: MadeUp) -> None:
    keep_sound(house.config.store.clips_folder, TITS[0])  # 3 s, the call of 4.5 s, 3 s
    with house.ask() as client:
        edges = re.findall(r'class="edge" x1="([0-9.]+)"', client.get("/review").text)
    assert [float(edge) for edge in edges] == pytest.approx([3 / 10.5, 7.5 / 10.5])


def test_an_empty_queue_says_what_to_do(tmp_path: Path) -> None:
    with made_up(tmp_path, TITS).ask() as client:
        text = client.get("/review").text
        assert "3 detections would be next, but the sound is not kept any more" in text
        assert "save_clip" in client.get("/review?queue=new").text


def test_a_program_reads_and_says_the_same(house: MadeUp) -> None:
    with house.ask() as client:
        path = f"/api/v1/detections/{TITS[0].id}/reviews"
        token = {"X-CSRF-Token": csrf(client)}
        other = {
            "verdict": "other",
            "scientific_name": "Fulica atra",
            "common_name": "Coot",
            "reviewer": "Ada",
        }
        made = client.post(path, json=other, headers=token)
        assert made.status_code == 201
        assert client.get(path).json() == [made.json()]
        assert made.json()["verdict"] == "other"
        for senseless in ({"verdict": "other"}, {"verdict": "right", "scientific_name": "Fulica atra"}):
            assert client.post(path, json=senseless, headers=token).status_code == 422
        lost = path.replace(TITS[0].id, "f" * 20)
        assert client.post(lost, json={"verdict": "right"}, headers=token).status_code == 404
        client.post(path, json={"verdict": "right"}, headers=token)
        first = client.get("/api/v1/reviews?limit=1").json()
        assert [one["verdict"] for one in first["reviews"]] == ["right"]
        rest = client.get("/api/v1/reviews", params={"limit": 5, "cursor": first["next"]}).json()
        assert [one["verdict"] for one in rest["reviews"]] == ["other"]
        assert rest["next"] is None
        assert client.get("/api/v1/reviews?cursor=2026-99-99T00:00:00.000000Z~" + "f" * 20).status_code == 422
        queue = client.get("/api/v1/reviews/queue?count=1").json()
        assert [turn["detection"]["id"] for turn in queue["turns"]] == [TITS[1].id]
        assert [one["code"] for one in client.get("/api/v1/labels?q=great").json()["labels"]] == ["gretit1"]


def test_who_has_a_name_here_is_called_by_it(tmp_path: Path) -> None:
    """The login's, or the token's: nobody can speak for another."""
    token, password = "birdwatchd-0123456789", "tawny owl"
    web = {"password": hash_of(password), "tokens": {"recorder": sha256(token.encode()).hexdigest()}}
    house = made_up(tmp_path, TITS, web=web)
    path = f"/api/v1/detections/{TITS[0].id}/reviews"
    with house.ask() as client:
        answer = client.post(
            path, json={"verdict": "right", "reviewer": "Ada"}, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.json()["reviewer"] == "recorder"
        assert client.get("/review").status_code == 303
        client.post("/login", data={"csrf": csrf(client, "/login"), "password": password, "name": "Bo"})
        assert "Your name" not in client.get("/review").text
        judge(client, verdict="wrong", reviewer="Ada")
    assert [(one[0], one[2]) for one in said(house)] == [("right", "recorder"), ("wrong", "Bo")]


def test_the_search_puts_beginnings_first() -> None:
    labels = [
        Label(0, "Turdus merula", "Common Blackbird", "eurbla"),
        Label(1, "Sylvia atricapilla", "Eurasian Blackcap", "blackc1"),
        Label(2, "Larus fuscus", "Black Gull"),
        Label(3, "Parus ater", "Mésange noire"),
    ]
    assert [label.index for label in search(labels, "BLACK", 9)] == [2, 1, 0]
    assert [label.index for label in search(labels, "mesange", 9)] == [3]
    assert [label.index for label in search(labels, "mer tur", 9)] == [0]
    assert search(labels, " ", 9) == search(labels, "owl", 9) == []
    assert named(labels, "common blackbird") is labels[0]
    assert named(labels, "blackbird") is None
    assert search((GREAT_TIT, BLACKBIRD, COOT), "t", 1) == [BLACKBIRD]


def test_verdicts_by_keys_reach_the_list_to_train_from(page: Page, station: Station, tmp_path: Path) -> None:
    """The whole way: a key in Chromium, a row in the database, a row of the manifest."""
    database = station.folder / "birds.sqlite"

    def heard() -> bool:
        page.goto(f"{station.url}/review?queue=sample")
        return page.locator("#claim").count() == 1

    wait_until(heard, "a clip to review")
    claims = {}
    for key in ("r", "w", "o", "u"):
        identity = page.locator("#verdicts input[name=detection]").input_value()
        page.get_by_label("Your name").fill("Ada")
        page.get_by_label("Your name").blur()
        page.keyboard.press(key)
        if key == "o":
            page.keyboard.type("low")
            page.get_by_role("option", name="Low Tone").wait_for()
            page.keyboard.press("Enter")
        page.locator("#undo").wait_for()
        page.wait_for_url(f"**after={identity}**")
        claims[key] = identity

        def another() -> bool:
            if page.locator("#claim").count() == 0:
                page.goto(f"{station.url}/review?queue=sample")
            return page.locator("#claim").count() == 1

        wait_until(another, "the next clip")
    page.goto(f"{station.url}/review?queue=sample&said={claims['u']}")
    page.keyboard.press("z")
    page.wait_for_url(f"**at={claims['u']}**")
    assert page.get_by_text("taken back").is_visible()
    with Database.open(database, read_only=True) as opened:
        kept = {key: reviews.of(opened, identity)[0] for key, identity in claims.items()}
        assert [(one.verdict, one.reviewer, one.queue) for one in kept.values()] == [
            ("right", "Ada", "sample"),
            ("wrong", "Ada", "sample"),
            ("other", "Ada", "sample"),
            ("unsure", "Ada", "sample"),
        ]
        assert [one.verdict for one in reviews.of(opened, claims["u"])] == ["unsure", "withdrawn"]
        right = opened.rows("SELECT * FROM detections WHERE id = ?", (claims["r"],))[0]
    from train.commands.list import list_

    words = [str(database), "--split", "1,0,0", "-o", str(tmp_path / "m.csv")]
    CliRunner().invoke(list_, words, standalone_mode=False, catch_exceptions=False)
    with (tmp_path / "m.csv").open() as file:
        labels = [row["labels"] for row in csv.DictReader(file)]
    assert sorted(labels) == sorted(
        ["", f"{right['scientific_name']}_{right['common_name']}", "Testus bassus_Low Tone"]
    )
