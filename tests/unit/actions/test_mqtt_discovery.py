"""What Home Assistant is told, held against the field lists of its documentation."""

from __future__ import annotations

import json
import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from birdwatchd.actions.mqtt_discovery import Station, announced_by, announcements, is_ours
from birdwatchd.actions.mqtt_payload import Topics, detection_payload, encode, health_payload
from tests.doubles import sample_detection, sample_health, sample_source_health, sample_tally

# "Configuration variables" of https://www.home-assistant.io/integrations/sensor.mqtt/ and of
# https://www.home-assistant.io/integrations/binary_sensor.mqtt/; `origin` and its keys are from
# https://www.home-assistant.io/integrations/mqtt/#discovery-messages-and-availability ("origin" there).
COMMON = {
    "availability", "availability_mode", "availability_template", "availability_topic", "default_entity_id", "device",
    "device_class", "enabled_by_default", "encoding", "entity_category", "entity_picture", "expire_after",
    "force_update", "icon", "json_attributes_template", "json_attributes_topic", "name", "object_id", "origin",
    "payload_available", "payload_not_available", "platform", "qos", "state_topic", "unique_id", "value_template",
}  # fmt: skip
FIELDS = {
    "sensor": COMMON
    | {
        "last_reset_value_template", "options", "state_class", "suggested_display_precision", "unit_of_measurement",
    },
    "binary_sensor": COMMON | {"off_delay", "payload_off", "payload_on"},
}  # fmt: skip
DEVICE = {
    "configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model", "model_id", "name",
    "serial_number", "suggested_area", "sw_version", "via_device",
}  # fmt: skip
ORIGIN = {"name", "support_url", "sw_version"}
# https://www.home-assistant.io/integrations/mqtt/#discovery-topic: what an id in the topic may hold.
TOPIC = re.compile(r"homeassistant/(sensor|binary_sensor)/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)/config")

TOPICS = Topics("birdwatchd/wood")
STATION = Station("wood", TOPICS, "0.1.0", ("garden", "pond.2"))


def entities(station: Station = STATION) -> dict[str, dict[str, Any]]:
    """What is announced, by unique id."""
    found = [json.loads(payload) for payload in announcements(station, "homeassistant").values()]
    return {entity["unique_id"]: entity for entity in found}


def test_these_entities_are_announced() -> None:
    assert entities().keys() == {
        "birdwatchd_wood_connectivity",
        "birdwatchd_wood_health",
        *(
            f"birdwatchd_wood_{source}_{what}"
            for source in ("garden", "pond.2")
            for what in ("species", "scientific_name", "score", "last_heard", "level")
        ),
    }


def test_each_field_is_one_that_home_assistant_documents() -> None:
    for topic, payload in announcements(STATION, "homeassistant").items():
        match = TOPIC.fullmatch(topic)
        assert match, topic
        entity = json.loads(payload)
        assert entity.keys() <= FIELDS[match[1]], topic
        assert entity["device"].keys() <= DEVICE
        assert entity["origin"].keys() <= ORIGIN


def test_each_entity_has_what_makes_it_findable_and_honest() -> None:
    for entity in entities().values():
        assert entity["availability_topic"] == "birdwatchd/wood/status"
        assert (entity["payload_available"], entity["payload_not_available"]) == ("online", "offline")
        assert entity["origin"]["name"] == "birdwatchd"
        assert entity["state_topic"].startswith("birdwatchd/wood/")
        assert entity["device"]["identifiers"]


def test_there_is_a_device_for_the_node_and_one_for_each_source_behind_it() -> None:
    found = entities()
    node = found["birdwatchd_wood_connectivity"]["device"]
    garden = found["birdwatchd_wood_garden_species"]["device"]
    pond = found["birdwatchd_wood_pond.2_level"]["device"]
    assert found["birdwatchd_wood_health"]["device"] == node
    assert "via_device" not in node
    assert garden["via_device"] == pond["via_device"] == node["identifiers"][0]
    assert len({node["identifiers"][0], garden["identifiers"][0], pond["identifiers"][0]}) == 3


def test_a_source_has_its_own_topic_so_that_no_other_resets_it() -> None:
    found = entities()
    for what in ("species", "scientific_name", "score", "last_heard"):
        assert found[f"birdwatchd_wood_garden_{what}"]["state_topic"] == "birdwatchd/wood/source/garden"
        assert found[f"birdwatchd_wood_pond.2_{what}"]["state_topic"] == "birdwatchd/wood/source/pond.2"


def test_sources_that_differ_in_a_dot_only_have_topics_of_their_own() -> None:
    told = announcements(Station("wood", TOPICS, "0.1.0", ("pond.2", "pond_2")), "homeassistant")
    assert len(told) == 12


def render(template: str, payload: bytes) -> str:
    """As Home Assistant does: in a sandbox, with the decoded payload."""
    sandbox = pytest.importorskip("jinja2.sandbox").ImmutableSandboxedEnvironment()
    text: str = sandbox.from_string(template).render(value_json=json.loads(payload), value=payload.decode())
    return text


def test_the_templates_read_a_detection() -> None:
    told = encode(
        detection_payload(
            sample_detection(score=0.9312),
            sample_tally(),
            node="wood",
            location=None,
            zone=ZoneInfo("Europe/Berlin"),
            late=False,
        )
    )
    found = entities()

    def shown(what: str) -> str:
        return render(found[f"birdwatchd_wood_garden_{what}"]["value_template"], told)

    assert shown("species") == "Great Tit"
    assert shown("scientific_name") == "Parus major"
    assert shown("score") == "93.1"
    assert found["birdwatchd_wood_garden_score"]["unit_of_measurement"] == "%"
    assert shown("last_heard") == "2026-05-09T06:42:10.250+02:00"
    assert found["birdwatchd_wood_garden_last_heard"]["device_class"] == "timestamp"


def test_the_templates_read_health() -> None:
    well = sample_source_health("garden")
    silent = sample_source_health("pond.2", level_dbfs=float("-inf"))
    deaf = sample_source_health("pond.2", fault="unplugged")
    fine, ill = (encode(health_payload(sample_health(well, other))) for other in (silent, deaf))
    found = entities()
    assert render(found["birdwatchd_wood_health"]["value_template"], fine) == "OFF"
    assert render(found["birdwatchd_wood_health"]["value_template"], ill) == "ON"
    assert render(found["birdwatchd_wood_garden_level"]["value_template"], fine) == "-61.25"
    # "None" is Home Assistant's word for a sensor whose value is unknown.
    assert render(found["birdwatchd_wood_pond.2_level"]["value_template"], fine) == "None"


def test_a_lost_connection_shows_as_disconnected_and_not_as_unavailable() -> None:
    entity = entities()["birdwatchd_wood_connectivity"]
    assert (entity["state_topic"], entity["payload_off"]) == ("birdwatchd/wood/status", "offline")
    for status in (b'"online"', b'"offline"'):
        assert render(entity["availability_template"], status) == entity["payload_available"]


def test_only_the_own_announcements_are_recognised() -> None:
    mine = next(iter(announcements(STATION, "homeassistant").values()))
    assert is_ours(mine, "wood")
    assert not is_ours(mine, "pond")
    assert not is_ours(b'{"unique_id": "birdwatchd_wood_x", "origin": {"name": "somebody"}}', "wood")
    assert not is_ours(b'{"unique_id": "birdwatchd_wood_x"}', "wood")
    assert not is_ours(b"[]", "wood")
    assert not is_ours(b"\xff", "wood")


def test_the_subscription_shows_all_announcements_of_the_node_and_no_more() -> None:
    from paho.mqtt.client import topic_matches_sub

    for node in ("wood", "wood.1"):
        own = announcements(Station(node, TOPICS, "0.1.0", ("garden", "pond.2")), "homeassistant")
        assert all(topic_matches_sub(announced_by(node, "homeassistant"), topic) for topic in own)
        assert not any(topic_matches_sub(announced_by("other", "homeassistant"), topic) for topic in own)
