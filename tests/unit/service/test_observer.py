"""What the observer makes of what it sees: all is well, or a sentence for each thing that is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from birdwatchd.audio.clock import FileClock
from birdwatchd.config.schema import Config
from birdwatchd.hours import Hours
from birdwatchd.listening_hours import ListeningHours
from birdwatchd.scoring import FAILED
from birdwatchd.service.schedule import Job
from birdwatchd.service.troubles import in_schedule
from tests.integration.waiting import wait_until
from tests.observed import RATE, Station
from tests.rows import entry, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def station(tmp_path: Path) -> Station:
    now = datetime.now(UTC)
    # It may be another day by the time that it is asked for.
    days = {one.date(): one for one in (now + timedelta(minutes=10), now)}
    hours = [one.replace(minute=0, second=0, microsecond=0) for one in days.values()]
    kinds = ("expected", "captured", "analysed")
    return Station(
        write(tmp_path / "db", *(entry(60.0, kind, hour=hour) for hour in hours for kind in kinds))
    )


def test_a_station_that_does_well(station: Station) -> None:
    station.tape.play(4)
    station.tape.heard_to = 3 * RATE
    said = station.ask()
    assert (said["node"], said["faults"], said["warnings"]) == ("wood", [], [])
    (garden,) = said["sources"]
    assert (garden["kind"], garden["state"], garden["behind_seconds"]) == ("microphone", "listening", 1.0)
    assert garden["today"] == {"expected": 60, "captured": 60, "analysed": 60, "lost": {}, "skipped": {}}
    assert said["actions"] == [
        {"name": "tell", "kind": "mqtt", "waiting": 2, "settled": {"done": 3, "dead": 1}, "trouble": ""}
    ]
    assert said["store"]["clips_bytes"] == 5
    assert datetime.fromisoformat(said["at"]) - datetime.fromisoformat(said["started"]) < timedelta(minutes=1)


def test_who_asks_without_end_gets_the_same_answer(station: Station) -> None:
    first = station.observer.status()
    assert station.observer.status() is first
    station.clock.now += 1
    assert station.observer.status() is not first


def test_a_source_that_is_away(station: Station) -> None:
    station.tape.fault = "device gone"
    assert station.wrong() == (["garden is away: device gone"], [])
    assert station.ask()["sources"][0]["state"] == "away"


def test_a_microphone_that_is_dead_though_it_delivers(station: Station) -> None:
    station.tape.silence = 59.0
    assert station.wrong() == ([], [])
    station.tape.silence = 720.0
    (fault,), _ = station.wrong()
    assert fault == "garden hears nothing but digital silence for 12 min: is the microphone dead or muted?"


def test_a_pipeline_that_hangs(station: Station) -> None:
    for _ in range(40):
        station.clock.now += 1
        station.tape.play(0.1)
        station.tape.heard_to = station.tape.ring.written
        station.observer.turn()
    (fault,), _ = station.wrong()
    assert fault.startswith("the pipeline has not turned for ")


def test_a_main_thread_that_hangs(station: Station) -> None:
    station.clock.now += 31
    (fault,), _ = station.wrong()
    assert fault.startswith("the main thread has not turned for ")


def test_a_disk_that_cannot_be_written(station: Station) -> None:
    station.recorder.fault, station.recorder.pending, station.desk.waits = "the disk is full", 7, None
    said = station.ask()
    assert said["faults"] == ["the disk is full"]
    assert said["store"]["pending"] == 7
    assert said["actions"][0]["waiting"] is None


def test_a_database_that_cannot_be_read(tmp_path: Path) -> None:
    assert Station(tmp_path / "nowhere" / "db").ask()["sources"][0]["today"] is None


def test_an_action_that_does_not_get_on(station: Station) -> None:
    station.desk.standing = replace(station.desk.standing, trouble="connection refused")
    assert station.wrong() == ([], ["tell: connection refused"])


def test_a_machine_that_is_too_slow(station: Station) -> None:
    station.vitals.account([entry(9.0, "skipped", "silence")])
    assert station.wrong() == ([], [])
    station.vitals.account([entry(9.0, "skipped", "too slow")])
    assert station.wrong() == ([], ["garden: too slow, sound was skipped in the last minutes"])


def test_a_model_that_fails(station: Station) -> None:
    station.vitals.account([entry(12.0, "skipped", FAILED)])
    assert station.wrong() == ([], ["garden: analysis failed, sound was skipped in the last minutes"])


def test_no_secret_and_nothing_that_acts_on_a_terminal_is_told(station: Station) -> None:
    stream = {"kind": "stream", "name": "garden", "url": "rtsp://birds:grey-heron@pond/audio"}
    settings = {**station.config.model_dump(), "sources": [stream]}
    station.config = Config.model_validate(settings)
    station.tape.fault = "401 for birds:grey-heron@pond \x1b[2J"
    station.desk.standing = replace(station.desk.standing, trouble="grey-heron was refused")
    station.recorder.fault = "grey-heron is no folder"
    said = station.observer.status().to_json().decode()
    assert "heron" not in said
    assert "u001b" not in said
    assert "tell: *** was refused" in said


def test_work_that_failed(station: Station) -> None:
    def fail() -> None:
        raise ValueError("no room")

    station.schedule.every(3600, "backup", fail, at_once=True)
    with station.schedule:
        wait_until(lambda: station.schedule.jobs()[0].outcome.startswith("Value"), "it was tried")
        assert station.wrong() == ([], ["backup: ValueError: no room"])


def test_work_that_does_not_end() -> None:
    now = datetime.now(UTC)
    job = Job("backup", "every hour", last=now - timedelta(minutes=50), outcome="at work")
    assert in_schedule([job], now) == []
    assert in_schedule([job], now + timedelta(minutes=20)) == ["backup: at work for 70 min"]


def test_a_disk_that_fills_up(station: Station) -> None:
    settings = {**station.config.model_dump(), "sources": [{"kind": "microphone", "name": "garden"}]}
    settings["store"]["retention"]["free_gigabytes"] = 1e6
    station.config = Config.model_validate(settings)
    _, (warning,) = station.wrong()
    assert warning.startswith("only ")
    assert "store.retention.free_gigabytes (1e+06)" in warning


@pytest.mark.parametrize("rests", [True, False])
def test_listening_hours(station: Station, *, rests: bool) -> None:
    now = datetime.now(UTC)
    shift = 3 if rests else 0
    begin, end = (f"{now + timedelta(hours=shift + one):%H:%M}" for one in (-1, 1))
    station.tape.listening = ListeningHours("garden", Hours([f"{begin}..{end}"], UTC, None), 0.0)
    station.tape.resting = rests
    (garden,) = station.ask()["sources"]
    assert garden["state"] == ("resting" if rests else "listening")
    assert garden["hours"]["inside"] is not rests
    until = datetime.fromisoformat(garden["hours"]["until"])
    assert f"{until:%H:%M}" == (begin if rests else end)


def test_a_source_that_is_away_while_it_rests_is_a_warning(station: Station) -> None:
    now = datetime.now(UTC)
    begin, end = (f"{now + timedelta(hours=one):%H:%M}" for one in (2, 4))
    station.tape.listening = ListeningHours("garden", Hours([f"{begin}..{end}"], UTC, None), 0.0)
    station.tape.fault = "stream gone"
    assert station.wrong() == ([], ["garden is away, outside of its hours: stream gone"])


def test_a_recording_has_its_own_time(station: Station) -> None:
    station.tape.clock = FileClock(RATE)
    station.tape.clock.anchor(0, datetime(2026, 5, 1, 12, tzinfo=UTC))
    station.tape.waits = True
    station.tape.listening = ListeningHours("garden", Hours(["11:00..13:00"], UTC, None), 0.0)
    (garden,) = station.ask()["sources"]
    assert (garden["state"], garden["hours"]["until"]) == ("listening", "2026-05-01T13:00:00.000+00:00")


def test_what_the_classifier_did_is_counted(station: Station) -> None:
    for seconds in (0.004, 0.03, 0.03, 100.0):
        station.vitals.batch(2, seconds)
    model = station.ask()["model"]
    assert (model["batches"], model["segments"], model["seconds"]) == (4, 8, pytest.approx(100.064))
    bounds = model["batch_seconds"]
    assert (bounds["0.005"], bounds["0.02"], bounds["0.05"], bounds["10.0"]) == (1, 1, 3, 3)


def test_a_clock_that_was_not_set(station: Station) -> None:
    station.clock_is_set = False
    faults, (warning,) = station.wrong()
    assert faults == []
    assert "the system clock was not set" in warning


def test_continuous_recording_that_pauses_is_a_warning(station: Station) -> None:
    station.recording_faults = ["garden is not recorded continuously: Input/output error"]
    assert station.wrong() == ([], station.recording_faults)
