"""Why not? The page and the API answer in the words of `birdwatchd why`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.rows import BLACKBIRD, COOT, DAWN, GREAT_TIT, candidate, detection, entry
from tests.web.made_up import made_up
from tests.web.test_detection_page import EVIL_NAME, text_of

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from birdwatchd.domain import Candidate, Detection, LedgerEntry

RANGE = "not expected here this week (0.001 below 0.03)"
TIT = detection(4.5, GREAT_TIT, seconds=9)
EVIL = replace(COOT, common_name=EVIL_NAME)
ROWS: list[Detection | Candidate | LedgerEntry] = [
    *(
        candidate(at, GREAT_TIT, score=0.4 + at / 100, reason=f"score {0.4 + at / 100:.2f} below 0.7")
        for at in (0, 3)
    ),
    candidate(4.5, GREAT_TIT, score=0.8, gate="detection", reason=""),
    *(
        candidate(at, BLACKBIRD, score=0.9, gate="species_range", reason=RANGE, source="wood")
        for at in (0, 1.5)
    ),
    candidate(600, EVIL, source="<i>wood</i>", gate="<b>gate</b>", reason="<u>so</u>"),
    TIT,
    entry(3600, "expected"),
    entry(3000),
    entry(600, "lost", "device gone"),
]
AT = {"at": "2026-05-09T06:42:10"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return made_up(tmp_path_factory.mktemp("house"), ROWS).ask()


def test_each_candidate_is_shown_with_what_stopped_it(client: TestClient) -> None:
    page = client.get("/why", params=AT).text
    text = text_of(page)
    assert "Sat 9 May 2026, 06:42:10, 1 min before and after" in text
    assert f'Reported: <a href="/detection/{TIT.id}">Great Tit</a> in garden' in page
    assert "Great Tit Parus major stopped: Threshold Score 0.43 below 0.7. Score 0.43, 0.70 needed" in text
    assert (
        f"stopped: Species range N{RANGE[1:]}. Score 0.90, 0.70 needed · 06:42:10-06:42:11 · wood · 2 windows"
        in text
    )
    assert "Great Tit Parus major reported It passed all gates." in text
    assert text.index("It passed all gates") < text.index("Species range") < text.index("Score 0.43 below")
    assert "deciding.include lets it pass all the same" in text
    assert (
        "garden, the hour from 2026-05-09 06:00:00: heard 83.3 % of 1:00:00, lost 10:00 (device gone)."
        in text
    )


def test_a_source_and_a_species_may_be_picked(client: TestClient) -> None:
    text = text_of(client.get("/why", params={**AT, "source": "wood"}).text)
    assert "Species range" in text
    assert "Threshold" not in text
    text = text_of(client.get("/why", params={**AT, "species": "great *"}).text)
    assert "Threshold" in text
    assert "Species range" not in text
    text = text_of(client.get("/why", params={**AT, "species": "tawny owl"}).text)
    assert "tawny owl was among the five best of no window; these were: " in text


def test_without_a_moment_it_is_said_what_to_do(client: TestClient) -> None:
    text = text_of(client.get("/why").text)
    assert "No moment is picked yet." in text
    assert "they are kept for 7 days" in text


def test_silence_and_deafness_are_told_apart(client: TestClient) -> None:
    assert "There was no candidate: nothing there resembled" in text_of(
        client.get("/why", params={"at": "2026-05-09T06:50:00"}).text
    )
    deaf = text_of(client.get("/why", params={"at": "2026-05-09T02:00:00"}).text)
    assert "birdwatchd was not listening then: the next run began at 2026-05-09 06:42:10." in deaf


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"at": "<b>noonish</b>"}, "is no time; write for example 07:42"),
        ({"at": "0099-01-01"}, "is no time at which anything was heard"),
        ({"at": "9999-12-31T23:59:59"}, "is no time"),
        ({**AT, "within": "soon"}, "is no length of time"),
        ({**AT, "within": "2h"}, "'2h' is more than a quarter of an hour, or nothing"),
        ({**AT, "within": "0s"}, "'0s' is more than a quarter of an hour, or nothing"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(
    client: TestClient, asked: dict[str, str], why: str
) -> None:
    page = client.get("/why", params=asked)
    assert page.status_code == 422
    assert why in text_of(page.text).replace("&#39;", "'")
    assert "<b>noonish" not in page.text
    answer = client.get("/api/v1/why", params=asked)
    assert answer.status_code == 422
    assert why in answer.json()["detail"]


def test_names_are_text_and_nothing_else(client: TestClient) -> None:
    page = client.get("/why", params={"at": (DAWN + timedelta(seconds=600)).isoformat()}).text
    for part in ("<img src=x", "<i>wood", "<b>gate", "<u>so"):
        assert part not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_programs_are_told_the_same(client: TestClient) -> None:
    answer = client.get("/api/v1/why", params={**AT, "within": "30s", "source": "garden"}).json()
    assert (answer["begin"], answer["end"]) == (
        "2026-05-09T06:41:40.000+02:00",
        "2026-05-09T06:42:40.000+02:00",
    )
    stopped, passed = answer["candidates"]
    assert stopped == {
        "first": "2026-05-09T06:42:10.250+02:00",
        "last": "2026-05-09T06:42:13.250+02:00",
        "source": "garden",
        "scientific_name": "Parus major",
        "common_name": "Great Tit",
        "windows": 2,
        "score": 0.43,
        "threshold": 0.7,
        "gate": "threshold",
        "reason": "score 0.43 below 0.7",
    }
    assert passed["gate"] == "detection"
    assert [one["id"] for one in answer["reported"]] == [TIT.id]
    assert answer["nothing"] == ""
    assert len(answer["listening"]) == 1
