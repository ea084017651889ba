"""Settings of `mqtt`: the defaults, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from birdwatchd.actions.mqtt import Mqtt

if TYPE_CHECKING:
    from birdwatchd.actions.mqtt_settings import MqttConfig


def settings(**changes: Any) -> MqttConfig:
    return Mqtt.Config.model_validate({"name": "tell-home", "kind": "mqtt", **changes})


def test_the_defaults_suit_a_broker_on_the_same_machine() -> None:
    config = settings()
    assert (config.host, config.port_number, config.tls, config.protocol) == ("localhost", 1883, None, "5")
    assert (config.base_for("wood"), config.client_id_for("wood")) == (
        "birdwatchd/wood",
        "birdwatchd-wood-tell-home",
    )
    assert (config.late_seconds, config.discovery.enabled, config.discovery.prefix) == (
        60.0,
        True,
        "homeassistant",
    )
    assert config.states == {"started"}


def test_with_ended_both_states_are_delivered() -> None:
    assert settings(ended=True).states == {"started", "ended"}


def test_tls_has_its_own_port_and_a_section_without_lines_is_still_tls() -> None:
    assert settings(tls={}).port_number == 8883
    assert settings(tls=None).tls is not None
    assert settings(tls={"ca": "ca.crt"}, port=1).port_number == 1


@pytest.mark.parametrize(("written", "read"), [(5, "5"), ("5", "5"), ("3.1.1", "3.1.1")])
def test_protocols_are_taken_as_yaml_reads_them(written: object, read: str) -> None:
    assert settings(protocol=written).protocol == read


def test_tls_versions_are_taken_as_yaml_reads_them() -> None:
    tls = settings(tls={"minimum_version": 1.3}).tls
    assert tls is not None
    assert tls.minimum_version == "1.3"


def test_a_password_is_shown_nowhere() -> None:
    config = settings(username="birds", password="hunter2")  # noqa: S106 - it opens nothing
    assert "hunter2" not in f"{config!r} {config} {config.model_dump()} {config.model_dump_json()}"


@pytest.mark.parametrize(
    "changes",
    [
        {"host": ""},
        {"host": "mqtt://localhost"},
        {"host": "user@localhost"},
        {"host": "a..b"},
        {"port": 0},
        {"port": True},
        {"protocol": "3.1"},
        {"base_topic": "birds/#"},
        {"base_topic": "birds/+/x"},
        {"base_topic": "/birds"},
        {"base_topic": "birds/"},
        {"base_topic": "$SYS/birds"},
        {"base_topic": ""},
        {"discovery": {"prefix": "home#"}},
        {"password": "hunter2"},
        {"password_credential": "mqtt"},
        {"username": "birds", "password": "hunter2", "password_credential": "mqtt"},
        {"tls": {"key": "own.key"}},
        {"tls": {"insecure": True}},
        {"tls": {"minimum_version": "1.1"}},
        {"qos": 0},
        {"keepalive_seconds": 0},
        {"catch_up_per_second": 0},
        {"late_seconds": 0},
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refusal:
        settings(**changes)
    # pydantic's own text shows the input; the sentences that users see are made of these.
    assert "hunter2" not in " ".join(str(error["msg"]) for error in refusal.value.errors())
