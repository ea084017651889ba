"""`mqtt` when the broker is killed, absent, deaf, strange or hostile: nothing is lost, nobody waits, the log is short."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from birdwatchd.actions import GiveUp, Postpone, mqtt_absence, mqtt_link
from birdwatchd.actions.mqtt import Mqtt
from birdwatchd.actions.mqtt_link import INFLIGHT, Link
from tests.doubles import (
    DAWN,
    FakeContext,
    FakeItem,
    sample_delivery,
    sample_detection,
    sample_health,
)
from tests.integration import mosquitto
from tests.integration.mosquitto import PASSWORD, Authority, Mosquitto
from tests.integration.waiting import wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from structlog.testing import LogCapture

pytestmark = [
    pytest.mark.skipif(bool(mosquitto.missing()), reason=mosquitto.missing()),
    # paho leaves a socket whose TLS handshake failed to the garbage collector, which closes it.
    pytest.mark.filterwarnings("ignore:.*unclosed <ssl.SSLSocket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"),
]

BASE = "birdwatchd/wood"
SOON = DAWN + timedelta(seconds=6)


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[LogCapture]:
    """What the link says; and pauses that suit a test."""
    capture = structlog.testing.LogCapture()
    wrapped = structlog.wrap_logger(structlog.ReturnLogger(), processors=[capture])
    monkeypatch.setattr(mqtt_absence, "logger", wrapped)
    monkeypatch.setattr(mqtt_absence, "PAUSE_SECONDS", (0.05, 0.2))
    # Nobody is waited for here but by the tests, and they have more patience.
    monkeypatch.setattr(mqtt_link, "FIRST_SECONDS", 0.0)
    yield capture
    gc.collect()  # what paho has left: here it is let pass, and in the tests that follow it is not


def station(settings: dict[str, Any], now: Callable[[], datetime] = lambda: SOON, **changes: Any) -> Mqtt:
    return Mqtt(Mqtt.Config.model_validate(settings | changes), now=now)


def items(count: int, first: int = 0) -> list[Any]:
    found = []
    for number in range(first, first + count):
        detection = sample_detection(id=f"{number:020x}")
        found.append(FakeItem(FakeContext(delivery=sample_delivery(detection=detection))))
    return found


def deliver(action: Mqtt, batch: list[Any], seconds: float = 60.0) -> None:
    """As a worker does: what was not done is tried again, in order."""
    waiting = list(batch)
    until = time.monotonic() + seconds
    while waiting:
        assert time.monotonic() < until, f"{len(waiting)} are still waiting"
        part = waiting[: action.batch_size]
        outcomes = action.run_batch(part)
        assert all(outcome is None or isinstance(outcome, Postpone) for outcome in outcomes)
        undone = [one for one, outcome in zip(part, outcomes, strict=True) if outcome is not None]
        waiting = undone + waiting[action.batch_size :]
        if undone:
            time.sleep(0.02)


def ids(heard: list[mosquitto.Heard]) -> list[int]:
    return [int(json.loads(one.payload)["id"], 16) for one in heard]


def link_of(action: Mqtt) -> Link:
    assert action._line is not None
    return action._line[0]


def connect(action: Mqtt) -> None:
    action._open("wood")
    wait_until(link_of(action)._up.is_set, "it is connected")


def told(action: Mqtt) -> str:
    """What a delivery is told when an attempt to connect has failed."""
    action._open("wood")
    wait_until(lambda: link_of(action).absence.attempts, "an attempt has failed")
    (outcome,) = action.run_batch(items(1))
    assert isinstance(outcome, Postpone)
    return str(outcome)


def warnings(log: LogCapture) -> list[str]:
    return [str(line["reason"]) for line in log.entries if line["log_level"] == "warning"]


def test_a_broker_that_is_killed_and_comes_back_gets_everything(tmp_path: Path, log: LogCapture) -> None:
    with Mosquitto(tmp_path) as broker, station(broker.settings()) as action:
        action.on_health(sample_health())
        deliver(action, items(5))
        broker.kill()
        wait_until(lambda: not link_of(action)._up.is_set(), "the loss is noticed")
        outcomes = action.run_batch(items(5, 5))
        assert all(isinstance(outcome, Postpone) and outcome.seconds for outcome in outcomes)
        broker.start()
        with broker.subscriber("#") as everything:
            deliver(action, items(5, 5))
            assert ids(everything.wait_for(BASE, 5)) == [5, 6, 7, 8, 9]
            # It kept nothing: status, health and the announcements are said again.
            assert everything.wait_for(f"{BASE}/status")[-1].payload == "online"
            everything.wait_for(f"{BASE}/health")
            everything.wait_for("homeassistant/sensor/wood/garden_level/config")
    assert len(warnings(log)) == len(set(warnings(log)))


def test_a_broker_killed_within_a_batch_is_told_at_once_and_gets_the_rest_later(tmp_path: Path) -> None:
    batch = items(200)
    with Mosquitto(tmp_path) as broker, station(broker.settings(), timeout_seconds=3600) as action:
        connect(action)
        broker.freeze()
        outcomes: list[Exception | None] = []
        sender = threading.Thread(target=lambda: outcomes.extend(action.run_batch(batch)), daemon=True)
        sender.start()
        wait_until(lambda: link_of(action)._awaited, "the batch is under way")
        broker.kill()
        sender.join(120)
        assert not sender.is_alive()  # it does not wait for its hour
        assert all(isinstance(outcome, Postpone) for outcome in outcomes)
        broker.start()
        with broker.subscriber(BASE) as subscriber:
            deliver(action, batch)
            assert ids(subscriber.wait_for(BASE, 200)) == list(range(200))


def test_ten_thousand_wait_for_an_absent_broker_and_go_out_in_order(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    times = [SOON]
    settings = broker.settings(catch_up_per_second=10_000)
    with station(settings, now=lambda: times[0], timeout_seconds=60) as action:
        batch = items(10_000)
        for start in range(0, len(batch), action.batch_size):
            outcomes = action.run_batch(batch[start : start + action.batch_size])
            assert all(isinstance(outcome, Postpone) for outcome in outcomes)
        # Nothing piles up in memory: the outbox has it.
        assert not link_of(action)._client._out_messages
        times[0] = SOON + timedelta(hours=24)
        with broker, broker.subscriber("#") as everything:
            deliver(action, batch, seconds=120)
            heard = everything.wait_for(BASE, 10_000)
            assert ids(heard) == list(range(10_000))
            assert all(json.loads(one.payload)["late"] for one in heard)
            assert not everything.heard(f"{BASE}/source/garden")


def test_what_a_frozen_broker_did_not_confirm_is_not_sent_by_itself_when_it_thaws(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, station(broker.settings(), timeout_seconds=2) as action:
        connect(action)
        with broker.subscriber(BASE) as subscriber:
            broker.freeze()
            outcomes = action.run_batch(items(100))
            assert all(isinstance(outcome, Postpone) for outcome in outcomes)
            assert "did not confirm" in str(outcomes[0])
            broker.thaw()
            deliver(action, items(1, 2000))
            subscriber.wait_for(BASE)
            wait_until(lambda: 2000 in ids(subscriber.heard()), "it is connected again")
            # The few that were in the network's hands already may come through; the others wait to be made anew.
            assert sum(number < 100 for number in ids(subscriber.heard())) <= INFLIGHT


@contextlib.contextmanager
def deaf_listener() -> Iterator[int]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_broker_that_accepts_and_never_answers_keeps_nobody_waiting(log: LogCapture) -> None:
    with deaf_listener() as port:
        settings = {
            "name": "tell-home",
            "kind": "mqtt",
            "host": "127.0.0.1",
            "port": port,
            "keepalive_seconds": 5,
        }
        with station(settings, timeout_seconds=3600) as action:
            (outcome,) = action.run_batch(items(1))
            assert isinstance(outcome, Postpone)
            said = told(action)
    assert "takes connections and does not answer" in said
    assert warnings(log) == [said]


def test_a_wrong_password_is_said_once_and_never_shown(tmp_path: Path, log: LogCapture) -> None:
    for protocol in ("5", "3.1.1"):
        log.entries.clear()
        with Mosquitto(tmp_path) as broker:
            settings = broker.settings(password="hunter2", protocol=protocol)  # noqa: S106 - it is wrong
            with station(settings) as action:
                said = told(action)
                link = link_of(action)
                wait_until(lambda link=link: link.absence.attempts > 5, "it tries again")  # type: ignore[misc] # a lambda's default
        assert "refuses user 'birds'" in said
        assert "see username and password" in said
        assert warnings(log) == [said]
        assert "hunter2" not in str(log.entries)


def test_a_password_that_is_put_right_counts_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: LogCapture
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings = {"password": None, "password_credential": "secret"}
    with Mosquitto(tmp_path) as broker, station(broker.settings(**settings)) as action:
        assert "secret cannot be used: No such file" in told(action)
        for word in ("wrong", PASSWORD):
            # Whole, or not at all: it is read at each attempt.
            (tmp_path / "new").write_text(word, encoding="utf-8")
            (tmp_path / "new").replace(tmp_path / "secret")
            wait_until(lambda: len(warnings(log)) == 2, "the wrong one is refused")
        deliver(action, items(1))
    assert "refuses user" in warnings(log)[1]


def test_an_expired_certificate_of_the_broker_is_named(tmp_path: Path, log: LogCapture) -> None:
    authority = Authority(tmp_path)
    expired = authority.issue("broker", days=-1)
    tls = {"ca": str(authority.ca)}
    with Mosquitto(tmp_path, certificate=expired) as broker, station(broker.settings(tls=tls)) as action:
        said = told(action)
    assert "certificate has expired; renew the broker's certificate" in said
    assert warnings(log) == [said]


def test_an_expired_certificate_of_the_station_is_named_and_a_renewed_one_counts(
    tmp_path: Path, log: LogCapture
) -> None:
    authority = Authority(tmp_path)
    served = authority.issue("broker")
    certificate, key = authority.issue("station", days=-1)
    tls = {"ca": str(authority.ca), "certificate": str(certificate), "key": str(key)}
    broker = Mosquitto(tmp_path, certificate=served, authority=authority.ca)
    with broker, station(broker.settings(tls=tls)) as action:
        assert "the station's certificate has expired" in told(action)
        authority.issue("station")
        deliver(action, items(1))
    assert len(warnings(log)) == len(set(warnings(log)))


def test_a_certificate_of_a_stranger_is_not_accepted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    mine, other = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    broker = Mosquitto(tmp_path, certificate=other.issue("broker"))
    with broker, station(broker.settings(tls={"ca": str(mine.ca)})) as action:
        said = told(action)
    assert "is not accepted" in said
    assert "tls.ca" in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "no-such-host.invalid"}, "is not found"),
        ({"host": "127.0.0.1", "port": free_port()}, "nothing listens at 127.0.0.1"),
        ({"tls": {"ca": "/nowhere/ca.crt"}}, "tls.ca /nowhere/ca.crt cannot be used: No such file"),
    ],
)
def test_a_mistake_in_the_settings_is_a_sentence(settings: dict[str, Any], said: str) -> None:
    with station({"name": "tell-home", "kind": "mqtt"} | settings) as action:
        assert said in told(action)


def test_tls_where_there_is_none_and_none_where_there_is_some(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    authority = Authority(tmp_path)
    with (
        Mosquitto(tmp_path / "plain") as plain,
        Mosquitto(tmp_path, certificate=authority.issue("broker")) as safe,
    ):
        with station(plain.settings(tls={"ca": str(authority.ca)})) as action:
            said = told(action)
            assert "right port?" in said or "is that a port for TLS, and" in said
        with station(safe.settings()) as action:
            assert "is that a port for TLS?" in told(action)


def test_two_clients_with_one_id_are_told_of_each_other(tmp_path: Path, log: LogCapture) -> None:
    with Mosquitto(tmp_path) as broker:
        first, second = (station(broker.settings(client_id="twin")) for _ in range(2))
        with first, second:
            connect(first)
            second._open("wood")
            wait_until(lambda: warnings(log), "one is thrown out")
            wait_until(
                lambda: max(link_of(one).absence.attempts for one in (first, second)) > 5,
                "they go on fighting",
            )
    assert "does another client have the same client_id?" in warnings(log)[0]
    # One warning for each of the two, and one word of success before and after it.
    assert len(log.entries) <= 6


def test_a_message_that_the_broker_refuses_is_not_done(tmp_path: Path, log: LogCapture) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"user birds\ntopic readwrite {BASE}\ntopic readwrite $SYS/#\n", encoding="utf-8")
    with Mosquitto(tmp_path, rules=rules) as broker, station(broker.settings()) as action:
        connect(action)
        (outcome,) = action.run_batch(items(1))
    # The base may be written, the source's topic may not.
    assert isinstance(
        outcome, GiveUp
    )  # else it would hold up those behind it, and come at the base again and again
    assert "the broker refused it: Not authorized" in str(outcome)
    assert len(warnings(log)) == 1
