"""The page of figures says what it rests on, and gives lines that the config takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import yaml

from birdwatchd.config.schema import Config
from birdwatchd.domain import Label
from birdwatchd.store import reviews
from birdwatchd.store.database import Database
from birdwatchd.store.figures import OfSpecies, Share, Suggestion
from birdwatchd.web.thresholds import config_lines
from tests.rows import detection, entry
from tests.web.made_up import made_up

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)
ODD = Label(7, "yes: #1 'odd'", "Odd <b>Tit</b>")


def of_species(name: str, threshold: float | None, right: int, judged: int, **more: Any) -> OfSpecies:
    suggestion = Suggestion(0.7, threshold, Share(right, judged), 3)
    fields = {"share": Share(1, 1), "wrong": 0, "others": (), "unsure": 0, "suggestion": suggestion, **more}
    return OfSpecies(name, name, 9, **fields)


def test_the_lines_are_a_config() -> None:
    lines = config_lines(
        [
            of_species("Parus major", 0.83, 40, 42),
            of_species(ODD.scientific_name, 0.9, 30, 30),
            of_species("Strix aluco", 0.95, 5, 5),
            of_species("Turdus merula", 0.7, 30, 30),
            of_species("Fulica atra", None, 2, 30),
        ]
    )
    config = Config.model_validate(
        {"sources": [{"kind": "microphone", "name": "garden"}], **yaml.safe_load(lines)}
    )
    assert config.deciding.thresholds == {"Parus major": 0.83, ODD.scientific_name: 0.9}
    assert "    # Strix aluco: 0.95" in lines
    assert "too few to be sure" in lines
    assert "Turdus" not in lines
    assert "Fulica" not in lines
    assert config_lines([of_species("Turdus merula", 0.7, 30, 30)]) == ""


def test_the_page_says_what_it_rests_on(tmp_path: Path) -> None:
    every = [
        detection(
            label=ODD,
            start=NOW - timedelta(minutes=number),
            end=NOW,
            id=f"{number:020x}",
            score=0.71 + number / 200,
            model="new-2" if number % 2 else "old-1",
        )
        for number in range(50)
    ]
    house = made_up(tmp_path, [*every, entry(36_000, "analysed", hour=NOW.replace(minute=0))])
    with house.ask() as client:
        nothing = client.get("/figures").text
        assert "Nothing was judged in that time." in nothing
        assert 'href="/figures" class="later" aria-current="page"' in nothing
        assert 'href="/figures"' in client.get("/sources").text
        with Database.open_beside(house.config.store.database) as database:
            for number, one in enumerate(every[:40]):
                verdict: reviews.Verdict = "wrong" if number < 10 else "right"
                queue = "sample" if number % 2 else "doubtful"
                reviews.add(database, reviews.Review(one.id, NOW, verdict, queue=queue))
        by_chance = client.get("/figures").text
        assert "15 of 20 judged detections that chance had drawn" in by_chance
        assert "1.25 <span" in by_chance
        assert "50 detections in 10 hours that were listened to" in by_chance
        every_one = client.get("/figures?judged=all&days=0&precision=0.95").text
        assert "30 of 40 judged detections." in every_one
        assert "at least 1.000" in every_one
        assert "yes: #1" in every_one
        assert "<b>" not in every_one
        of_model = client.get("/figures?judged=all&model=new-2").text
        assert "15 of 20 judged detections." in of_model
        said = client.get("/api/v1/reviews/figures?judged=all").json()
        assert (said["share"]["right"], said["share"]["judged"], said["hours"]) == (30, 40, 10)
        assert said["false_an_hour"] is None
        assert yaml.safe_load(said["config"])["deciding"]["thresholds"] == {ODD.scientific_name: 0.743}
