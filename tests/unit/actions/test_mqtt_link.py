"""The pauses between attempts, and what is told of them."""

from __future__ import annotations

import time
from typing import Any

import pytest
import structlog

from birdwatchd.actions import mqtt_absence
from birdwatchd.actions.mqtt import Mqtt
from birdwatchd.actions.mqtt_link import Link, Message


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> structlog.testing.LogCapture:
    capture = structlog.testing.LogCapture()
    wrapped = structlog.wrap_logger(structlog.ReturnLogger(), processors=[capture])
    monkeypatch.setattr(mqtt_absence, "logger", wrapped)
    return capture


def link(**settings: Any) -> Link:
    """One that was never started."""
    config = Mqtt.Config.model_validate({"name": "tell-home", "kind": "mqtt", **settings})
    will = Message("birdwatchd/wood/status", b"offline", retain=True)
    return Link(config, "wood", will=will, on_connected=lambda: None, on_message=lambda *_: None)


def pauses(one: Link, monkeypatch: pytest.MonkeyPatch, count: int) -> list[float]:
    taken: list[float] = []

    def take(shortest: float, longest: float) -> None:
        assert shortest == longest  # paho would double it
        taken.append(shortest)

    monkeypatch.setattr(one._client, "reconnect_delay_set", take)
    for _ in range(count):
        one._away("nothing listens there")
    return taken


def test_pauses_grow_from_one_second_to_five_minutes_each_with_jitter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = [pauses(link(), monkeypatch, 14) for _ in range(20)]
    for taken in many:
        for attempt, pause in enumerate(taken):
            longest = min(300.0, 2.0**attempt)
            assert longest / 2 <= pause <= longest
    assert all(len({taken[attempt] for taken in many}) > 10 for attempt in range(14))


def test_a_reason_is_told_once_and_a_new_one_again(
    monkeypatch: pytest.MonkeyPatch, log: structlog.testing.LogCapture
) -> None:
    one = link()
    pauses(one, monkeypatch, 5)
    one._away("the certificate has expired")
    one._away("nothing listens there")
    assert [line["reason"] for line in log.entries] == [
        "nothing listens there",
        "the certificate has expired",
    ]
    assert one.absence.reason == "nothing listens there"


def test_nothing_is_handed_over_while_there_is_no_connection() -> None:
    one = link()
    one.post(Message("birdwatchd/wood/health", b"{}", retain=True))
    assert one.send([[Message("birdwatchd/wood", b"{}")]], time.monotonic() + 3600) == []
    assert "yet" in one.absence.reason
    assert not one._client._out_messages


def test_deliveries_ask_again_about_when_it_was_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one = link()
    asked = []
    for _ in range(12):
        pauses(one, monkeypatch, 1)
        asked.append(one.absence.postponement.seconds)
    assert asked[0] == 2.0
    assert asked[-1] == 60.0
    assert str(one.absence.postponement) == "nothing listens there"


def test_only_mqtt_5_has_properties() -> None:
    five, three = link(), link(protocol="3.1.1")
    assert three._properties_for(60) is None
    fleeting, lasting = five._properties_for(60), five._properties_for(0)
    assert getattr(fleeting, "MessageExpiryInterval", None) == 60
    assert not hasattr(lasting, "MessageExpiryInterval")


def test_a_credential_that_systemd_did_not_give_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    one = link(username="birds", password_credential="mqtt")  # noqa: S106 - a name
    with pytest.raises(OSError, match="add LoadCredential=mqtt:/path to the unit"):
        one._prepare()
