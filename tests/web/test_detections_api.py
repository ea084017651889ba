"""What programs are told of detections."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.domain import Tally
from birdwatchd.store import deliveries
from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Order
from tests.rows import BLACKBIRD, COOT, DAWN, GREAT_TIT, candidate, detection
from tests.web.made_up import made_up

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.testclient import TestClient

    from birdwatchd.domain import Candidate, Detection

TIT = detection(0, GREAT_TIT, seconds=4.5)
ROWS: list[Detection | Candidate] = [
    TIT,
    detection(10, BLACKBIRD, source="wood", site="W", score=0.75),
    detection(20, COOT, score=0.8),
    detection(30, GREAT_TIT, score=0.71),
    detection(40, BLACKBIRD, score=0.99),
    *(
        candidate(at, GREAT_TIT, score=0.3 + at / 100, gate="detection" if at == 1.5 else "threshold")
        for at in (-3, 0, 1.5, 60)
    ),
    candidate(0, BLACKBIRD),
    candidate(0, GREAT_TIT, source="wood"),
]
API = "/api/v1"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return made_up(tmp_path_factory.mktemp("house"), ROWS).ask()


def starts(answer: Any) -> list[str]:
    return [one["start"] for one in answer["detections"]]


def test_the_newest_come_first_with_all_that_is_known(client: TestClient) -> None:
    answer = client.get(f"{API}/detections").json()
    assert answer["next"] is None
    assert [one["common_name"] for one in answer["detections"]] == [
        "Common Blackbird",
        "Great Tit",
        "Bläßhuhn",
        "Common Blackbird",
        "Great Tit",
    ]
    last = answer["detections"][-1]
    assert last == client.get(f"{API}/detections/{TIT.id}").json()
    assert last["start"] == "2026-05-09T06:42:10.250+02:00"
    assert (last["score"], last["threshold"], last["windows"], last["seconds"]) == (0.93, 0.7, 3, 4.5)


def test_a_cursor_leads_through_all_of_them(client: TestClient) -> None:
    whole = starts(client.get(f"{API}/detections").json())
    found: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        answer = client.get(f"{API}/detections", params={"limit": 2, **cursor}).json()
        found += starts(answer)
        cursor = {"cursor": answer["next"]}
    assert found == whole
    assert cursor == {"cursor": None}


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ({"species": "great tit"}, [30, 0]),
        ({"species": ["great tit", "fulica *"]}, [30, 20, 0]),
        ({"source": "wood"}, [10]),
        ({"site": "W"}, [10]),
        ({"min_score": 0.9}, [40, 0]),
        ({"since": "2026-05-09T06:42:30+02:00"}, [40, 30, 20]),
        ({"since": "2026-05-09 06:42:30"}, [40, 30, 20]),
        ({"until": "2026-05-09T04:42:20Z"}, [0]),
        ({"since": "2026-05-09", "until": "2026-05-09"}, [40, 30, 20, 10, 0]),
        ({"species": "nobody"}, []),
    ],
)
def test_a_choice_finds_what_it_says(client: TestClient, asked: dict[str, Any], seconds: list[float]) -> None:
    answer = client.get(f"{API}/detections", params=asked).json()
    assert starts(answer) == [
        (DAWN + timedelta(hours=2, seconds=at)).replace(tzinfo=None).isoformat(timespec="milliseconds")
        + "+02:00"
        for at in seconds
    ]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"since": "noonish"}, "'noonish' is no time; write for example 07:42"),
        ({"cursor": "x"}, "cursor: it is no cursor that came with a page"),
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"min_score": "nan"}, "min_score"),
        ({"species": ["x"] * 51}, "species"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(
    client: TestClient, asked: dict[str, Any], why: str
) -> None:
    answer = client.get(f"{API}/detections", params=asked)
    assert answer.status_code == 422
    assert why in answer.json()["detail"]


@pytest.mark.parametrize("path", ["", "/candidates", "/deliveries"])
def test_a_detection_that_is_not_there_is_said(client: TestClient, path: str) -> None:
    answer = client.get(f"{API}/detections/{'0' * 20}{path}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no detection of this id."})
    assert client.get(f"{API}/detections/..%2F..%2Fetc{path}").status_code in (404, 422)


def test_the_candidates_of_a_detection_are_those_of_its_species_and_source_around_it(
    client: TestClient,
) -> None:
    answer = client.get(f"{API}/detections/{TIT.id}/candidates").json()
    assert [(one["score"], one["gate"]) for one in answer] == [
        (0.27, "threshold"),
        (0.3, "threshold"),
        (0.315, "detection"),
    ]
    assert answer[0]["start"] == "2026-05-09T06:42:07.250+02:00"
    assert {one["clip_seconds"] for one in answer} == {None}


def test_its_deliveries_are_told(tmp_path: Path) -> None:
    house = made_up(tmp_path, ROWS)
    with Database.open_beside(tmp_path / "birds.sqlite") as database, database.transaction() as connection:
        order = Order("mqtt", "durable", timedelta(days=7))
        started = replace(TIT, state="started")
        deliveries.add(connection, started, Tally(1, True, True, False), [order], now=DAWN)
    (told,) = house.ask().get(f"{API}/detections/{TIT.id}/deliveries").json()
    assert told == {
        "key": f"{TIT.id}/started/mqtt",
        "action": "mqtt",
        "status": "waiting",
        "durability": "durable",
        "attempts": 0,
        "error": "",
        "created": "2026-05-09T06:42:10.250+02:00",
        "next": "2026-05-09T06:42:10.250+02:00",
        "expires": "2026-05-16T06:42:10.250+02:00",
        "settled": None,
        "notes": {},
        "state": "started",
    }
