"""What the API tells of days and species."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.store import reviews
from birdwatchd.store.database import Database
from tests.rows import BLACKBIRD, COOT, DAWN, GREAT_TIT, detection, entry
from tests.web.test_days import HOSTILE, an_hour_of_listening, counted

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.testclient import TestClient

API = "/api/v1"


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return counted(
        tmp_path,
        detection(0, score=0.8, clip_path="a"),
        detection(3600, source="wood"),
        detection(50, COOT),
        detection(-365 * 86_400, COOT),
        detection(86_400, BLACKBIRD),
        *an_hour_of_listening(),
        entry(60, "expected", hours=1),
        entry(60, "lost", "unplugged", hours=1),
    )


def ask(client: TestClient, path: str) -> Any:
    answer = client.get(API + path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_days_with_what_was_heard_and_how_long_it_listened(client: TestClient) -> None:
    assert ask(client, "/days?since=2026-05-01&until=2026-05-31") == [
        {"day": "2026-05-09", "species": 2, "detections": 3, "heard_seconds": 3600.0},
        {"day": "2026-05-10", "species": 1, "detections": 1, "heard_seconds": 0.0},
    ]
    (only,) = ask(client, "/days?since=2026-05-01&until=2026-05-31&source=wood")
    assert (only["detections"], only["heard_seconds"]) == (1, 0)
    assert ask(client, "/days?until=2026-05-09")[-1]["day"] == "2026-05-09"
    assert isinstance(ask(client, "/days"), list)


@pytest.mark.parametrize(
    "span", ["since=2026-05-09&until=2026-05-08", "since=2025-01-01&until=2026-05-09", "since=x"]
)
def test_a_span_that_is_none_is_refused(client: TestClient, span: str) -> None:
    answer = client.get(f"{API}/days?{span}")
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_everything_of_a_day(client: TestClient) -> None:
    day = ask(client, "/days/2026-05-09")
    assert (day["start"], day["end"]) == ("2026-05-09T00:00:00.000+02:00", "2026-05-10T00:00:00.000+02:00")
    assert len(day["hours"]) == 24
    assert day["hours"][6]["start"] == "2026-05-09T06:00:00.000+02:00"
    tit, coot = day["species"]
    assert (tit["scientific_name"], tit["species_code"], tit["detections"]) == ("Parus major", "gretit1", 2)
    assert {hour: n for hour, n in enumerate(tit["by_hour"]) if n} == {6: 1, 7: 1}
    assert tit["first"] == "2026-05-09T06:42:10.250+02:00"
    assert (tit["is_first_ever"], tit["is_first_of_year"]) == (True, True)
    assert (coot["is_first_ever"], coot["is_first_of_year"]) == (False, True)
    assert tit["best"]["score"] == 0.8
    assert ask(client, f"/detections/{tit['best']['id']}")["score"] == 0.8
    (garden,) = day["listening"]
    assert (garden["captured_seconds"], garden["lost_seconds"]) == (3600, {"unplugged": 60})
    assert [one["start"][11:16] for one in garden["hours"]] == ["06:00", "07:00"]


def test_a_day_of_25_hours(client: TestClient) -> None:
    starts = [one["start"] for one in ask(client, "/days/2026-10-25")["hours"]]
    assert len(starts) == 25
    assert starts[2:4] == ["2026-10-25T02:00:00.000+02:00", "2026-10-25T02:00:00.000+01:00"]


def test_species_and_one_of_them(client: TestClient) -> None:
    assert [one["scientific_name"] for one in ask(client, "/species")] == [
        "Fulica atra",
        "Parus major",
        "Turdus merula",
    ]
    coot = ask(client, "/species/Fulica%20atra?best=1")
    assert coot["detections"] == 2
    assert coot["days"] == [
        {"day": "2025-05-09", "detections": 1},
        {"day": "2026-05-09", "detections": 1},
    ]
    assert coot["hours"] == [{"month": 5, "hour": 6, "detections": 2}]
    assert len(coot["best"]) == 1
    answer = client.get(f"{API}/species/Larus%20nobody")
    assert (answer.status_code, answer.json()) == (
        404,
        {"detail": "No 'Larus nobody' was ever heard here, or none that was right."},
    )


def test_what_was_judged_to_be_wrong_does_not_count_until_that_is_taken_back(
    tmp_path: Path, client: TestClient
) -> None:
    """The first coot of all was none, and the best tit."""
    paths = ("/days?since=2025-05-01&until=2025-05-31", "/days/2026-05-09", "/species", "/firsts/2026")
    before = [ask(client, path) for path in paths]
    with Database.open_beside(tmp_path / "birds.sqlite") as database:

        def say(verdict: reviews.Verdict) -> None:
            for seconds, label in ((-365 * 86_400, COOT), (0, GREAT_TIT)):
                reviews.add(database, reviews.Review(detection(seconds, label).id, DAWN, verdict))

        say("wrong")
        days, day, species, firsts = (ask(client, path) for path in paths)
        assert days == []
        coot, tit = day["species"]
        assert (coot["detections"], coot["is_first_ever"]) == (1, True)
        assert (tit["detections"], tit["first"], tit["best"]["source"]) == (
            1,
            "2026-05-09T07:42:10.250+02:00",
            "wood",
        )
        assert {one["scientific_name"]: (one["detections"], one["first"][:10]) for one in species} == {
            "Fulica atra": (1, "2026-05-09"),
            "Parus major": (1, "2026-05-09"),
            "Turdus merula": (1, "2026-05-10"),
        }
        assert [(one["common_name"], one["is_first_ever"], one["year_before"]) for one in firsts[1:]] == [
            (GREAT_TIT.common_name, True, None),
            (COOT.common_name, True, None),
        ]
        # It is told where all of the day's are, and what was reported is still to be found.
        shown = client.get("/day/2026-05-09/Parus%20major").text
        assert "1 of them was judged to be wrong, and does not count elsewhere." in shown
        assert shown.count("judged wrong") == 1
        assert len(ask(client, "/detections?species=Great Tit")["detections"]) == 2
        assert client.get(f"{API}/species/Turdus%20merula").status_code == 200
        blackbird = detection(86_400, BLACKBIRD).id
        reviews.add(database, reviews.Review(blackbird, DAWN, "other", scientific_name="Fulica atra"))
        assert client.get(f"{API}/species/Turdus%20merula").status_code == 404
        reviews.add(database, reviews.Review(blackbird, DAWN, "right"))
        say("withdrawn")
    assert [ask(client, path) for path in paths] == before


def test_the_first_of_a_year(client: TestClient) -> None:
    blackbird, coot, tit = ask(client, "/firsts/2026")
    assert (coot["common_name"], coot["year_before"], coot["is_first_ever"]) == (
        COOT.common_name,
        "2025-05-09",
        False,
    )
    assert (blackbird["year_before"], tit["is_first_ever"]) == (None, True)
    assert blackbird["detection"]["start"] == "2026-05-10T06:42:10.250+02:00"


def test_any_name_can_be_asked_for(tmp_path: Path) -> None:
    client = counted(tmp_path, detection(0, HOSTILE))
    assert ask(client, "/species/Larus%20%3Cb%3E%2F%C3%A4%25")["common_name"] == HOSTILE.common_name
