"""What differs is named by its path; what it was is not."""

from __future__ import annotations

from typing import Any

from birdwatchd.config.changes import changes, spelt
from birdwatchd.config.schema import Config


def config(**more: Any) -> Config:
    garden = {"name": "garden", "kind": "microphone"}
    return Config.model_validate({"sources": [garden], **more})


def named(before: Config, after: Config) -> dict[str, str]:
    return {spelt(place): how for place, how in changes(before, after).items()}


POND = {"name": "pond", "kind": "stream", "url": "rtsp://birds:heron@pond.lan/live"}
GARDEN = {"name": "garden", "kind": "microphone"}


def test_nothing_differs_between_two_readings_of_one_file() -> None:
    more = {"sources": [GARDEN, POND], "deciding": {"thresholds": {"Parus major": 0.8}}, "location": None}
    assert named(config(**more), config(**more)) == {}


def test_settings_are_named_where_they_stand() -> None:
    after = config(
        deciding={"threshold": 0.6, "voice": {"mode": "off"}}, language="de", log={"level": "debug"}
    )
    assert list(named(config(), after)) == [
        "language",
        "deciding.threshold",
        "deciding.voice.mode",
        "log.level",
    ]


def test_a_section_that_was_not_there_is_named_as_one() -> None:
    place = {"latitude": 52.5, "longitude": 13.4}
    assert named(config(), config(location=place)) == {"location": "changed"}
    assert named(config(location=place), config(location={**place, "longitude": 13.5})) == {
        "location.longitude": "changed"
    }


def test_sources_are_known_by_their_names_not_their_order() -> None:
    both = config(sources=[GARDEN, POND])
    assert named(both, config(sources=[POND, GARDEN])) == {}
    assert named(config(), both) == {"sources.pond": "new"}
    assert named(both, config()) == {"sources.pond": "gone"}
    other = config(sources=[GARDEN, {**POND, "url": "rtsp://birds:swan@pond.lan/live"}])
    assert named(both, other) == {"sources.pond.url": "changed"}
    replaced = config(sources=[GARDEN, {**GARDEN, "name": "pond"}])
    assert named(both, replaced) == {"sources.pond.kind": "changed"}
    assert "heron" not in str(changes(both, other))
