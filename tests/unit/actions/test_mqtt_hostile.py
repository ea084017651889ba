"""Whatever somebody at the broker publishes where the station listens: it takes no harm, and does none to others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from birdwatchd.actions.mqtt_discovery import is_ours
from birdwatchd.actions.mqtt_payload import Topics
from birdwatchd.actions.mqtt_settings import Discovery
from birdwatchd.actions.mqtt_standing import BIRTH_SECONDS, MOST_STRANGERS, Standing
from tests.doubles import sample_health

if TYPE_CHECKING:
    from collections.abc import Iterable

    from birdwatchd.actions.mqtt_link import Message

TOPICS = st.text(max_size=30) | st.sampled_from(
    [
        "homeassistant/status",
        "homeassistant/sensor/wood/x/config",
        "homeassistant/sensor/wood/garden_level/config",
    ]
)
OURS = json.dumps({"origin": {"name": "birdwatchd"}, "unique_id": "birdwatchd_wood_x"}).encode()
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["origin", "name", "unique_id"]), inner, max_size=3)
    ),
)
PAYLOADS = (
    st.binary(max_size=50)
    | JSON.map(lambda tree: json.dumps(tree).encode())
    | st.sampled_from([OURS, b"online", b"offline", b"[" * 10_000, b"9" * 5000, OURS + b" " * 30_000])
)


class Outlet:
    def __init__(self) -> None:
        self.posted: list[Message] = []

    def post(self, message: Message) -> None:
        self.posted.append(message)

    def subscribe(self, topics: Iterable[str]) -> None: ...


def standing(*, known: bool = True) -> tuple[Standing, Outlet]:
    one, outlet = (
        Standing("wood", Topics("birdwatchd/wood"), Discovery(), monotonic=iter(range(10**9)).__next__),
        Outlet(),
    )
    if known:
        one.tell_health(outlet, sample_health())
    outlet.posted.clear()
    return one, outlet


@settings(deadline=None)
@given(heard=st.lists(st.tuples(TOPICS, PAYLOADS, st.booleans()), max_size=8))
@example(heard=[("homeassistant/sensor/wood/x/config", OURS, True)])
def test_any_messages(heard: list[tuple[str, bytes, bool]]) -> None:
    one, outlet = standing()
    for topic, payload, retained in heard:
        one.hear(outlet, topic, payload, retained=retained)
    for message in outlet.posted:
        # What stands is said again, or a claim to be ours is taken back, where it was made.
        assert message.retain
        assert message.payload == b"" or message.topic.startswith("homeassistant/")
        assert message.payload or any(
            message.topic == topic and is_ours(said, "wood") for topic, said, _ in heard
        )


def test_who_repeats_a_birth_does_not_make_the_station_repeat_everything() -> None:
    one, outlet = standing()
    for _ in range(int(BIRTH_SECONDS) * 20):
        one.hear(outlet, "homeassistant/status", b"online", retained=False)
    # The clock of this test goes a second further each time it is looked at.
    assert len(outlet.posted) == 7 * 20


def test_announcements_without_end_take_no_memory_without_end() -> None:
    one, outlet = standing(known=False)
    for number in range(MOST_STRANGERS + 100):
        one.hear(outlet, f"homeassistant/sensor/wood/{number}/config", OURS, retained=True)
    assert outlet.posted == []
    one.tell_health(outlet, sample_health())
    assert sum(message.payload == b"" for message in outlet.posted) == MOST_STRANGERS


@pytest.mark.parametrize(
    "payload", [b"[" * 100_000, b'{"origin":' * 5000, b"1" * 10_000, OURS + b" " * 30_000]
)
def test_what_is_too_deep_or_too_long_is_not_ours(payload: bytes) -> None:
    assert not is_ours(payload, "wood")
