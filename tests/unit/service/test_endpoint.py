"""The port of `/metrics` and `/healthz`, asked as Prometheus and a watcher ask."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as metrics

from birdwatchd.config.schema import Metrics
from birdwatchd.errors import ServiceError
from birdwatchd.service import endpoint
from birdwatchd.service.endpoint import Endpoint
from tests.integration.waiting import wait_until
from tests.observed import RATE, Station
from tests.ports import free_port
from tests.rows import detection, entry, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from prometheus_client import Metric


@pytest.fixture
def station(tmp_path: Path) -> Station:
    station = Station(write(tmp_path / "db"))
    station.tape.play(4)
    station.tape.heard_to = 3 * RATE
    return station


@pytest.fixture
def client(station: Station) -> Iterator[httpx.Client]:
    def status() -> Any:
        station.clock.now += 1
        return station.observer.status()

    config = Metrics(port=free_port())
    with (
        Endpoint(config, status),
        httpx.Client(base_url=f"http://127.0.0.1:{config.port}", timeout=30) as asking,
    ):
        yield asking


def values(families: Iterable[Metric]) -> dict[str, float]:
    """By name and labels, as PromQL writes them."""
    found = {}
    for family in families:
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_prometheus_reads_all_of_it(client: httpx.Client, station: Station) -> None:
    station.vitals.account(
        [
            entry(4.0),
            entry(3.0, "analysed"),
            entry(2.0, "lost", "device gone"),
            entry(1.5, "lost", "not heard"),
            entry(0.5, "skipped", "silence"),
        ]
    )
    station.vitals.detected(detection(state="started"))
    station.vitals.detected(detection(state="ended"))
    for seconds in (0.004, 0.03, 100.0):
        station.vitals.batch(2, seconds)
    scraped = client.get("/metrics")
    assert scraped.headers["content-type"].startswith("text/plain; version=")
    found = values(metrics(scraped.text))
    expected = {
        'birdwatchd_build_info{device="cpu",model="tiny-1",node="wood",version="1"}': 1,
        "birdwatchd_healthy": 1,
        'birdwatchd_source_up{source="garden"}': 1,
        'birdwatchd_source_captured_seconds_total{source="garden"}': 4,
        'birdwatchd_source_analysed_seconds_total{source="garden"}': 3,
        'birdwatchd_source_lost_seconds_total{cause="device gone",source="garden"}': 2,
        'birdwatchd_source_skipped_seconds_total{cause="silence",source="garden"}': 0.5,
        'birdwatchd_source_deaf_seconds{source="garden"}': 1.5,
        'birdwatchd_source_behind_seconds{source="garden"}': 1,
        'birdwatchd_source_level_dbfs{source="garden"}': -20,
        'birdwatchd_detections_total{source="garden"}': 1,
        "birdwatchd_classifier_segments_total": 6,
        'birdwatchd_classifier_batch_seconds_bucket{le="0.005"}': 1,
        'birdwatchd_classifier_batch_seconds_bucket{le="+Inf"}': 3,
        "birdwatchd_classifier_batch_seconds_count": 3,
        'birdwatchd_deliveries_total{action="tell",status="done"}': 3,
        'birdwatchd_deliveries_total{action="tell",status="expired"}': 0,
        'birdwatchd_deliveries_waiting{action="tell"}': 2,
        'birdwatchd_action_up{action="tell"}': 1,
        "birdwatchd_clips_bytes": 5,
        "birdwatchd_clock_steps_total": 0,
    }
    assert {key: found.get(key) for key in expected} == expected
    for name in (
        "birdwatchd_database_bytes",
        "birdwatchd_disk_free_bytes",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_cpu_seconds_total",
        "process_start_time_seconds",
    ):
        assert found[name] > 0
    # What still goes on is no loss yet: a counter never falls.
    assert 'birdwatchd_source_lost_seconds_total{cause="not heard",source="garden"}' not in found


def test_openmetrics_reads_the_same(client: httpx.Client) -> None:
    scraped = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert scraped.headers["content-type"].startswith("application/openmetrics-text")
    families = open_metrics(scraped.text)  # type: ignore[no-untyped-call] # the library's own gap
    assert values(families)["birdwatchd_healthy"] == 1


def test_names_that_could_break_out_of_their_quotes_do_not(client: httpx.Client, station: Station) -> None:
    station.vitals.account([entry(2.0, "lost", 'a"}\n# HELP \\ x')])
    found = values(metrics(client.get("/metrics").text))
    assert [key for key in found if key.startswith("birdwatchd_source_lost_seconds_total")] == [
        'birdwatchd_source_lost_seconds_total{cause="a"}\n# HELP \\ x",source="garden"}'
    ]


def test_healthz_is_well_or_says_why_not(client: httpx.Client, station: Station) -> None:
    well = client.get("/healthz")
    assert (well.status_code, well.json()["status"], well.json()["faults"]) == (200, "well", [])
    station.desk.standing = replace(station.desk.standing, trouble="connection refused")
    warned = client.get("/healthz")
    assert (warned.status_code, warned.json()["warnings"]) == (200, ["tell: connection refused"])
    station.tape.fault = "device gone"
    deaf = client.get("/healthz")
    assert (deaf.status_code, deaf.json()["status"]) == (503, "faulty")
    assert deaf.json()["faults"] == ["garden is away: device gone"]
    assert values(metrics(client.get("/metrics").text))["birdwatchd_healthy"] == 0


def test_it_only_tells(client: httpx.Client) -> None:
    assert client.get("/").status_code == 200
    assert client.get("/../../etc/passwd").status_code == 404
    assert client.head("/healthz").status_code == 200
    assert client.post("/metrics", content=b"x" * 100).status_code == 501
    assert "Python" not in client.get("/").headers["server"]


def test_a_status_that_fails_is_said() -> None:
    def fail() -> Any:
        raise ValueError("broken")

    config = Metrics(port=free_port())
    with Endpoint(config, fail):
        assert httpx.get(f"http://127.0.0.1:{config.port}/metrics", timeout=30).status_code == 500


def test_clients_that_say_nothing_take_no_more_than_their_places(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint._Answer, "timeout", 0.3)
    port = client.base_url.port
    silent = [socket.create_connection(("127.0.0.1", port or 0)) for _ in range(30)]

    def is_answered() -> bool:
        try:
            return httpx.get(f"{client.base_url}/healthz", timeout=30).status_code == 200
        except httpx.TransportError:
            return False  # sent away

    try:
        wait_until(is_answered, "those that say nothing have lost their places")
    finally:
        for one in silent:
            one.close()


def test_one_that_speaks_without_end_is_hung_up_on(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "LONGEST_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as endless:
        endless.settimeout(0.05)
        endless.sendall(b"GET /healthz HTTP/1.1\r\n")

        def is_hung_up_on() -> bool:
            """A header a time, slowly."""
            try:
                endless.sendall(b"X-More: x\r\n")
                return endless.recv(100) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        wait_until(is_hung_up_on, "it is left")


def test_a_port_that_is_taken_is_one_sentence(station: Station) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        config = Metrics(port=other.getsockname()[1])
        with pytest.raises(
            ServiceError, match=r"metrics\.port: 127\.0\.0\.1:\d+ is taken by another program"
        ):
            Endpoint(config, station.observer.status).__enter__()


@pytest.mark.parametrize("address", ["192.0.2.7", "no such host.invalid", "ä" * 70])
def test_an_address_that_is_not_ours_is_one_sentence(station: Station, address: str) -> None:
    with pytest.raises(ServiceError, match=r"metrics\.address: "):
        Endpoint(Metrics(port=free_port(), address=address), station.observer.status).__enter__()


def test_version_6_of_the_internet_works_as_well(station: Station) -> None:
    port = free_port()
    with Endpoint(Metrics(port=port, address="::1"), station.observer.status):
        assert httpx.get(f"http://[::1]:{port}/healthz", timeout=30).status_code == 200
