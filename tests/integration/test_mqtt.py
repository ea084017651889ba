"""The `mqtt` action at a real Mosquitto, with mosquitto_sub as an independent subscriber."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.actions import Postpone, mqtt_link
from birdwatchd.actions.mqtt import BURST_SECONDS, Mqtt
from birdwatchd.domain import DailySummary
from tests.doubles import (
    DAWN,
    GREAT_TIT,
    FakeContext,
    FakeItem,
    sample_delivery,
    sample_detection,
    sample_health,
    sample_source_health,
)
from tests.integration import mosquitto
from tests.integration.mosquitto import PASSWORD, Authority, Mosquitto
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from birdwatchd.domain import Health

pytestmark = pytest.mark.skipif(bool(mosquitto.missing()), reason=mosquitto.missing())

BASE = "birdwatchd/wood"
SOON = DAWN + timedelta(seconds=6)
"""Just after the sample detection's sound: not late."""


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that stalls for seconds is waited for, not left to the next attempt, which these tests do not make."""
    for name in ("FIRST_SECONDS", "FAREWELL_SECONDS"):
        monkeypatch.setattr(mqtt_link, name, 60.0)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as running:
        yield running


@contextmanager
def station(broker: Mosquitto, now: datetime = SOON, **settings: Any) -> Iterator[Mqtt]:
    """The action, entered, with its own idea of the time."""
    with Mqtt(Mqtt.Config.model_validate(broker.settings(**settings)), now=lambda: now) as action:
        yield action


def item(**changes: Any) -> Any:
    """A delivery of the sample detection with these fields changed."""
    return FakeItem(FakeContext(delivery=sample_delivery(detection=sample_detection(**changes))))


def health(*names: str) -> Health:
    return sample_health(*map(sample_source_health, names))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_detection_goes_to_the_base_and_to_its_source_and_nowhere_else(
    broker: Mosquitto, protocol: str
) -> None:
    with broker.subscriber("#") as everything, station(broker, protocol=protocol) as action:
        action.run(sample_detection(), FakeContext())
        everything.wait_for(f"{BASE}/source/garden")
    (heard,) = everything.heard(BASE)
    told = json.loads(heard.payload)
    assert (told["id"], told["CommonName"], told["late"]) == (sample_detection().id, "Great Tit", False)
    assert everything.heard(f"{BASE}/source/garden")[0].payload == heard.payload
    assert {one.topic for one in everything.heard()} == {BASE, f"{BASE}/source/garden", f"{BASE}/status"}
    assert not heard.retained


def test_what_has_ended_goes_to_its_own_topic_alone(broker: Mosquitto) -> None:
    with broker.subscriber("#") as everything, station(broker, ended=True) as action:
        assert action.run_batch([item(state="ended")]) == [None]
        (heard,) = everything.wait_for(f"{BASE}/ended")
    assert json.loads(heard.payload)["state"] == "ended"
    assert {one.topic for one in everything.heard()} == {f"{BASE}/ended", f"{BASE}/status"}


def test_species_topics_and_another_base(broker: Mosquitto) -> None:
    with (
        broker.subscriber("#") as everything,
        station(broker, species_topics=True, base_topic="birds") as action,
    ):
        action.run(sample_detection(), FakeContext())
        everything.wait_for("birds/species/parus-major")
    assert everything.heard("birds/species/parus-major")[0].payload == everything.heard("birds")[0].payload


def test_a_late_message_says_so_and_stays_off_the_sources_topic(broker: Mosquitto) -> None:
    with broker.subscriber("#") as everything, station(broker, now=DAWN + timedelta(hours=3)) as action:
        late = item()
        assert action.run_batch([late]) == [None]
        (heard,) = everything.wait_for(BASE)
    assert json.loads(heard.payload)["late"] is True
    assert late.context.notes == {"late": True}
    assert not everything.heard(f"{BASE}/source/garden")


def test_a_broker_keeps_no_old_news_for_a_subscriber_that_was_away(broker: Mosquitto) -> None:
    """With MQTT 5 the source's message expires when it would be late."""
    topics = (BASE, f"{BASE}/source/garden")
    broker.leave_session("sleeper", *topics)
    with station(broker, late_seconds=1) as action:
        action.run(sample_detection(start=SOON, end=SOON), FakeContext())
    time.sleep(2.5)  # the broker's own clock decides; there is nothing to wait for
    with broker.subscriber(*topics, session="sleeper") as sleeper:
        assert [one.topic for one in sleeper.heard()] == [BASE]


def test_a_batch_arrives_in_order_and_each_of_it_is_done(broker: Mosquitto) -> None:
    batch = [item(id=f"{n:020x}") for n in range(300)]
    with broker.subscriber(BASE) as subscriber, station(broker) as action:
        assert action.run_batch(batch) == [None] * 300
        heard = subscriber.wait_for(BASE, 300)
    assert [json.loads(one.payload)["id"] for one in heard] == [one.detection.id for one in batch]


def test_catching_up_keeps_its_pace(broker: Mosquitto) -> None:
    batch = [item(id=f"{n:020x}") for n in range(60)]
    with broker.subscriber(BASE) as subscriber:
        with station(broker, now=DAWN + timedelta(days=1), catch_up_per_second=40) as action:
            began = time.monotonic()
            assert action.run_batch(batch) == [None] * 60
            took = time.monotonic() - began
        subscriber.wait_for(BASE, 60)
    # 59 pauses, but it may be a burst ahead at both ends; there is no upper bound on a busy machine.
    assert took >= 59 / 40 - 2 * BURST_SECONDS


def test_a_batch_that_does_not_fit_into_its_time_is_finished_later(broker: Mosquitto) -> None:
    batch = [item(id=f"{n:020x}") for n in range(20)]
    with broker.subscriber(BASE, f"{BASE}/status") as subscriber:
        with station(
            broker, now=DAWN + timedelta(days=1), catch_up_per_second=1, timeout_seconds=12
        ) as action:
            action.on_health(health("garden"))
            subscriber.wait_for(f"{BASE}/status")  # it is connected: its time is for the messages
            outcomes = action.run_batch(batch)
            done = outcomes.count(None)
            assert 0 < done < 20
            assert outcomes[:done] == [None] * done
            assert all(
                isinstance(outcome, Postpone) and "catching up" in str(outcome) for outcome in outcomes[done:]
            )
        heard = subscriber.wait_for(BASE, done)
    assert [json.loads(one.payload)["id"] for one in heard] == [one.detection.id for one in batch[:done]]


def test_status_is_retained_and_offline_is_said_before_leaving(broker: Mosquitto) -> None:
    with broker.subscriber(f"{BASE}/status") as watcher:
        with station(broker) as action:
            action.on_health(health("garden"))
            watcher.wait_for(f"{BASE}/status", 1)
            with broker.subscriber(f"{BASE}/status") as latecomer:
                assert latecomer.heard() == [(True, f"{BASE}/status", "online")]
        watcher.wait_for(f"{BASE}/status", 2)
    assert [one.payload for one in watcher.heard()] == ["online", "offline"]
    with broker.subscriber(f"{BASE}/status") as latecomer:
        assert latecomer.heard() == [(True, f"{BASE}/status", "offline")]


def test_the_will_says_offline_when_the_station_dies(broker: Mosquitto) -> None:
    with broker.subscriber(f"{BASE}/status") as watcher, station(broker) as action:
        action.on_health(health("garden"))
        watcher.wait_for(f"{BASE}/status", 1)
        assert action._line is not None
        action._line[0]._hang_up()  # no DISCONNECT: to the broker it is dead
        heard = watcher.wait_for(f"{BASE}/status", 3)
    assert [one.payload for one in heard[:3]] == ["online", "offline", "online"]


def test_health_and_daily_stand_at_the_broker(broker: Mosquitto) -> None:
    with broker.subscriber(f"{BASE}/health", f"{BASE}/daily") as watcher, station(broker) as action:
        action.on_health(health("garden"))
        action.on_daily(DailySummary("wood", date(2026, 5, 8), ((GREAT_TIT, 41),)))
        watcher.wait_for(f"{BASE}/health")
        watcher.wait_for(f"{BASE}/daily")
        with broker.subscriber(f"{BASE}/health", f"{BASE}/daily") as latecomer:
            retained = {one.topic: json.loads(one.payload) for one in latecomer.heard() if one.retained}
    assert retained[f"{BASE}/health"]["sources"]["garden"]["levelDbfs"] == -61.25
    assert retained[f"{BASE}/daily"]["species"][0]["count"] == 41


CONFIG = "homeassistant/+/wood/+/config"


def test_home_assistant_finds_the_station_and_its_sources(broker: Mosquitto) -> None:
    level = "homeassistant/sensor/wood/garden_level/config"
    with broker.subscriber(CONFIG) as watcher, station(broker) as action:
        action.on_health(health("garden"))
        watcher.wait_for(level)
        with broker.subscriber(CONFIG) as latecomer:
            assert len(latecomer.heard()) == 7
            assert all(one.retained for one in latecomer.heard())
        action.on_health(health("garden"))
        broker.publish("homeassistant/status", "offline")
        broker.publish("homeassistant/status", "online")
        watcher.wait_for(level, 2)
    # Once at the start and once for Home Assistant's birth: neither for the second health nor for its death.
    assert len(watcher.heard(level)) == 2


def test_a_source_that_left_the_config_is_taken_back_even_after_a_restart(broker: Mosquitto) -> None:
    pond = [f"homeassistant/sensor/wood/pond_{what}/config" for what in ("species", "level")]
    stranger = "homeassistant/sensor/wood/thermometer/config"
    broker.publish(stranger, '{"unique_id": "thermometer"}', retain=True)
    with broker.subscriber(CONFIG) as watcher:
        with station(broker) as action:
            action.on_health(health("garden", "pond"))
            watcher.wait_for(pond[1])
        with station(broker) as action:
            action.on_health(health("garden"))
            for topic in pond:
                assert watcher.wait_for(topic, 2)[-1].payload == ""
            with broker.subscriber(CONFIG) as latecomer:
                names = {one.topic.split("/")[3] for one in latecomer.heard()}
    sensors = {f"garden_{what}" for what in ("species", "scientific_name", "score", "last_heard", "level")}
    assert names == {"thermometer", "connectivity", "health", *sensors}


def test_discovery_that_is_switched_off_is_taken_back(broker: Mosquitto) -> None:
    level = "homeassistant/sensor/wood/garden_level/config"
    with broker.subscriber(CONFIG) as watcher:
        with station(broker) as action:
            action.on_health(health("garden"))
            watcher.wait_for(level)
        with station(broker, discovery={"enabled": False}) as action:
            action.on_health(health("garden"))
            assert watcher.wait_for(level, 2)[-1].payload == ""
    with broker.subscriber(CONFIG) as latecomer:
        assert not latecomer.heard()


def test_tls_with_an_authority_and_a_certificate_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("station")
    tls = {
        "ca": str(authority.ca),
        "certificate": str(certificate),
        "key": str(key),
        "minimum_version": "1.3",
    }
    with Mosquitto(tmp_path, certificate=authority.issue("broker"), authority=authority.ca) as broker:
        with station(broker, tls=tls) as action:
            action.run(sample_detection(), FakeContext())
        monkeypatch.setattr(mqtt_link, "FIRST_SECONDS", 1.0)  # there will be no connection
        with station(broker, tls={"ca": str(authority.ca)}, keepalive_seconds=5) as action:

            def is_told() -> bool:
                (outcome,) = action.run_batch([item()])
                assert isinstance(outcome, Postpone)
                return "set tls.certificate and tls.key" in str(outcome)

            wait_until(is_told, "why there is no connection")


def test_a_password_may_come_from_systemd(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mqtt-password").write_text(PASSWORD + "\n", encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with station(broker, password=None, password_credential="mqtt-password") as action:  # noqa: S106 - a name
        action.run(sample_detection(), FakeContext())


def test_500_messages_a_second_go_through(broker: Mosquitto) -> None:
    """No bound on the time here (benchmarks/ measure it); each of a thousand is confirmed and arrives once."""
    now = datetime.now(UTC)
    with (
        broker.subscriber(BASE) as subscriber,
        station(broker, now=now, catch_up_per_second=10_000) as action,
    ):
        for start in range(0, 1000, 200):
            assert action.run_batch([item(id=f"{n:020x}") for n in range(start, start + 200)]) == [None] * 200
        heard = subscriber.wait_for(BASE, 1000)
    assert [json.loads(one.payload)["id"] for one in heard] == [f"{n:020x}" for n in range(1000)]
