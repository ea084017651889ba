"""What is said again, what is said anew, and what is taken back."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from birdwatchd.actions.mqtt_discovery import Station, announcements
from birdwatchd.actions.mqtt_payload import Topics
from birdwatchd.actions.mqtt_settings import Discovery
from birdwatchd.actions.mqtt_standing import Standing
from birdwatchd.domain import DailySummary
from tests.doubles import GREAT_TIT, sample_health, sample_source_health

if TYPE_CHECKING:
    from collections.abc import Iterable

    from birdwatchd.actions.mqtt_link import Message

TOPICS = Topics("birdwatchd/wood")
LEVEL = "homeassistant/sensor/wood/garden_level/config"


class Outlet:
    """Remembers what was posted since the last look."""

    def __init__(self) -> None:
        self._posted: list[Message] = []
        self.subscribed: set[str] = set()

    def post(self, message: Message) -> None:
        assert message.retain
        self._posted.append(message)

    def subscribe(self, topics: Iterable[str]) -> None:
        self.subscribed |= set(topics)

    def look(self) -> dict[str, bytes]:
        posted = {message.topic: message.payload for message in self._posted}
        self._posted.clear()
        return posted


def standing(**discovery: object) -> tuple[Standing, Outlet]:
    return Standing("wood", TOPICS, Discovery.model_validate(discovery)), Outlet()


def test_at_the_first_connect_there_is_only_the_status() -> None:
    one, outlet = standing()
    one.greet(outlet)
    assert outlet.look() == {TOPICS.status: b"online"}
    assert outlet.subscribed == {"homeassistant/status", "homeassistant/+/wood/+/config"}


def test_at_every_connect_all_of_it_is_said() -> None:
    one, outlet = standing()
    one.tell_health(outlet, sample_health())
    one.tell_daily(outlet, DailySummary("wood", date(2026, 5, 8), ((GREAT_TIT, 41),)))
    outlet.look()
    one.greet(outlet)
    said = outlet.look()
    assert {TOPICS.status, TOPICS.health, TOPICS.daily, LEVEL} < said.keys()
    assert len(said) == 10


def test_only_the_first_health_announces_and_each_new_version_or_source() -> None:
    one, outlet = standing()
    one.tell_health(outlet, sample_health())
    assert LEVEL in outlet.look()
    one.tell_health(outlet, sample_health(uptime_seconds=90_060.0))
    assert outlet.look().keys() == {TOPICS.health}
    one.tell_health(outlet, sample_health(version="0.2.0"))
    assert LEVEL in outlet.look()


def test_a_source_that_goes_while_it_runs_is_taken_back() -> None:
    one, outlet = standing()
    one.tell_health(outlet, sample_health(sample_source_health("garden"), sample_source_health("pond")))
    outlet.look()
    one.tell_health(outlet, sample_health())
    said = outlet.look()
    assert said["homeassistant/sensor/wood/pond_level/config"] == b""
    assert said[LEVEL] != b""


def old() -> dict[str, bytes]:
    """What an earlier life announced."""
    return announcements(Station("wood", TOPICS, "0.0.9", ("garden", "pond")), "homeassistant")


def test_nothing_is_taken_back_before_it_is_known_which_sources_there_are() -> None:
    one, outlet = standing()
    for topic, payload in old().items():
        one.hear(outlet, topic, payload, retained=True)
    assert outlet.look() == {}
    one.tell_health(outlet, sample_health())
    gone = {topic for topic, payload in outlet.look().items() if payload == b""}
    assert gone == {topic for topic in old() if "/pond_" in topic}


def test_what_is_still_there_or_somebody_elses_stays() -> None:
    one, outlet = standing()
    one.tell_health(outlet, sample_health())
    outlet.look()
    one.hear(outlet, LEVEL, old()[LEVEL], retained=True)
    one.hear(outlet, "homeassistant/sensor/wood/thermometer/config", b'{"unique_id": "t"}', retained=True)
    one.hear(outlet, "homeassistant/sensor/wood/pond_level/config", b"", retained=False)
    assert outlet.look() == {}


def test_home_assistants_birth_is_answered_and_nothing_else_it_says() -> None:
    one, outlet = standing(prefix="ha")
    one.tell_health(outlet, sample_health())
    outlet.look()
    one.hear(outlet, "homeassistant/status", b"offline", retained=False)
    one.hear(
        outlet, "homeassistant/status", b"online", retained=True
    )  # just connected: it was said a moment ago
    assert outlet.look() == {}
    for topic in ("homeassistant/status", "ha/status"):
        one.hear(outlet, topic, b"online", retained=False)
        assert len(outlet.look()) == 7


def test_without_discovery_nothing_is_announced() -> None:
    one, outlet = standing(enabled=False)
    one.tell_health(outlet, sample_health())
    one.greet(outlet)
    assert outlet.look().keys() == {TOPICS.health, TOPICS.status}
