"""docs/mqtt.md shows what is really sent, and settings that are really taken."""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from birdwatchd.actions.mqtt import Mqtt
from birdwatchd.actions.mqtt_payload import daily_payload, detection_payload, health_payload
from birdwatchd.config.schema import Location
from tests.doubles import sample_detection, sample_health, sample_tally
from tests.unit.actions.test_mqtt_payload import sample_summary

PAGE = (Path(__file__).parents[3] / "docs" / "mqtt.md").read_text(encoding="utf-8")
BLOCKS = [dedent(block) for block in re.findall(r"(?:(?:^    .*|^)\n)*^    .*\n", PAGE, re.MULTILINE)]


def shown(key: str) -> dict[str, Any]:
    """The JSON on the page that has this key."""
    (found,) = [
        json.loads(block) for block in BLOCKS if block.lstrip().startswith("{") and f'"{key}":' in block
    ]
    assert isinstance(found, dict)
    return found


def test_the_detection_on_the_page_is_one() -> None:
    here = Location(latitude=52.5, longitude=13.4)
    sent = detection_payload(
        sample_detection(),
        sample_tally(),
        node="wood",
        location=here,
        zone=ZoneInfo("Europe/Berlin"),
        late=False,
        page_url=f"https://birds.example.org/garden/detection/{sample_detection().id}",
        clip_url=f"https://birds.example.org/garden/api/v1/clips/{sample_detection().id}/sound",
    )
    assert shown("BeginTime") == {**sent, "Model": {"Name": "BirdNET", "Version": "2.4", "Variant": ""}}


def test_every_field_of_a_detection_is_explained() -> None:
    explained = set(
        re.findall(r"`(\w+)`", "\n".join(line for line in PAGE.splitlines() if line.startswith("|")))
    )
    # These two say what they are.
    assert shown("BeginTime").keys() - explained == {"ScientificName", "CommonName"}


def test_health_and_daily_on_the_page_are_what_is_sent() -> None:
    assert shown("uptimeSeconds") == health_payload(sample_health(model="BirdNET-2.4"))
    assert shown("detections") == daily_payload(sample_summary())


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.lstrip().startswith("actions:\n  - name")]
)
def test_the_settings_on_the_page_are_taken(block: str) -> None:
    for settings in yaml.safe_load(block)["actions"]:
        assert Mqtt.Config.model_validate(settings).username == "birds"
