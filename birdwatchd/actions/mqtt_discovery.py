"""What Home Assistant is told of the station, so that it finds its sensors by itself.

Field names and their meaning: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery,
https://www.home-assistant.io/integrations/sensor.mqtt/, https://www.home-assistant.io/integrations/binary_sensor.mqtt/.
All ids are made from the names in the config.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from birdwatchd.actions.mqtt_payload import OFFLINE, ONLINE, Topics, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

ORIGIN = "birdwatchd"
MOST_BYTES = 20_000
"""Of an announcement; ours have about a thousand."""
STALE_SECONDS = 180
"""Health comes every minute: after three it is not to be trusted any more."""


@dataclass(frozen=True, slots=True)
class Station:
    """Whom to announce."""

    node: str
    topics: Topics
    version: str
    sources: tuple[str, ...]


def announcements(station: Station, prefix: str) -> dict[str, bytes]:
    """The retained messages that announce a station: topic and payload of each entity."""
    node = station.node
    device = {"identifiers": [f"{ORIGIN}/{node}"], "name": node, "model": "station"}
    found = {
        f"{prefix}/binary_sensor/{_part(node)}/{what}/config": _entity(
            station, device, what, unique=(what,), **fields
        )
        for what, fields in _of_node(station.topics).items()
    }
    for source in station.sources:
        device = {
            "identifiers": [f"{ORIGIN}/{node}/{source}"],
            "name": f"{node} {source}",
            "model": "source",
            "via_device": f"{ORIGIN}/{node}",
        }
        for what, fields in _of_source(station.topics, source).items():
            topic = f"{prefix}/sensor/{_part(node)}/{_part(source)}_{what}/config"
            found[topic] = _entity(station, device, what, unique=(source, what), **fields)
    return found


def announced_by(node: str, prefix: str) -> str:
    """The subscription that shows everything that a node has announced, now or in an earlier life."""
    return f"{prefix}/+/{_part(node)}/+/config"


def is_ours(payload: bytes, node: str) -> bool:
    """Whether an announcement was made by this node."""
    if len(payload) > MOST_BYTES:
        return False
    try:
        entity = json.loads(payload)
        origin, unique_id = entity["origin"]["name"], entity["unique_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return bool(origin == ORIGIN and str(unique_id).startswith(f"{ORIGIN}_{node}_"))


def _entity(
    station: Station, device: dict[str, Any], what: str, *, unique: Iterable[str], **fields: Any
) -> bytes:
    entity = {
        "name": what.replace("_", " ").capitalize(),
        "unique_id": "_".join((ORIGIN, station.node, *unique)),
        "availability_topic": station.topics.status,
        "payload_available": ONLINE.decode(),
        "payload_not_available": OFFLINE.decode(),
        "qos": 1,
        **fields,
        "device": {**device, "manufacturer": ORIGIN, "sw_version": station.version},
        "origin": {"name": ORIGIN, "sw_version": station.version},
    }
    return encode(entity)


def _of_node(topics: Topics) -> dict[str, dict[str, Any]]:
    return {
        "connectivity": {
            "state_topic": topics.status,
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "payload_on": ONLINE.decode(),
            "payload_off": OFFLINE.decode(),
            # It is there to say "disconnected": it must not become unavailable at that very moment.
            "availability_template": "{{ 'online' }}",
        },
        "health": {
            "state_topic": topics.health,
            "device_class": "problem",
            "entity_category": "diagnostic",
            "value_template": (
                "{{ 'ON' if value_json.sources.values() | selectattr('fault') | list else 'OFF' }}"
            ),
            "json_attributes_topic": topics.health,
            "expire_after": STALE_SECONDS,
        },
    }


def _of_source(topics: Topics, source: str) -> dict[str, dict[str, Any]]:
    own = topics.source(source)
    return {
        "species": {
            "state_topic": own,
            "value_template": "{{ value_json.CommonName }}",
            "json_attributes_topic": own,
            "icon": "mdi:bird",
        },
        "scientific_name": {
            "state_topic": own,
            "value_template": "{{ value_json.ScientificName }}",
            "icon": "mdi:bird",
        },
        "score": {
            "state_topic": own,
            "value_template": "{{ (value_json.Confidence * 100) | round(1) }}",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "icon": "mdi:percent",
        },
        "last_heard": {
            "state_topic": own,
            "value_template": "{{ value_json.BeginTime }}",
            "device_class": "timestamp",
        },
        "level": {
            "state_topic": topics.health,
            "value_template": f"{{{{ value_json.sources.get('{source}', {{}}).get('levelDbfs') }}}}",
            "unit_of_measurement": "dBFS",
            "state_class": "measurement",
            "entity_category": "diagnostic",
            "expire_after": STALE_SECONDS,
            "icon": "mdi:volume-high",
        },
    }


def _part(name: str) -> str:
    """A name as a part of a discovery topic, which takes letters, digits, `_` and `-` only: dots do not pass."""
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    if safe == name:
        return name
    # garden.1 and garden_1 are two sources.
    return f"{safe}-{hashlib.blake2b(name.encode(), digest_size=3).hexdigest()}"
