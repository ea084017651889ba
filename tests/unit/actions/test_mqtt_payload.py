"""The names on the wire. They are frozen: a change here breaks somebody's automations."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from birdwatchd.actions.mqtt_payload import (
    Topics,
    daily_payload,
    detection_payload,
    encode,
    health_payload,
    is_late,
    number_of,
    slug,
)
from birdwatchd.config.schema import Location
from birdwatchd.domain import DailySummary, Detection, Label, Tally
from tests.doubles import DAWN, GREAT_TIT, sample_detection, sample_health, sample_source_health, sample_tally

BERLIN = ZoneInfo("Europe/Berlin")
HERE = Location(latitude=52.5, longitude=13.4)


def payload(detection: Detection | None = None, tally: Tally | None = None, **changes: Any) -> dict[str, Any]:
    """What a subscriber decodes."""
    surroundings: dict[str, Any] = {"node": "wood", "location": HERE, "zone": BERLIN, "late": False} | changes
    made = detection_payload(detection or sample_detection(), tally or sample_tally(), **surroundings)
    decoded: dict[str, Any] = json.loads(encode(made))
    return decoded


def test_a_detection_on_the_wire_is_exactly_this() -> None:
    assert payload() == {
        "SourceNode": "wood",
        "Date": "2026-05-09",
        "Time": "06:42:10",
        "Model": {"Name": "tiny", "Version": "1", "Variant": ""},
        "BeginTime": "2026-05-09T06:42:10.250+02:00",
        "EndTime": "2026-05-09T06:42:14.750+02:00",
        "SpeciesCode": "gretit1",
        "ScientificName": "Parus major",
        "CommonName": "Great Tit",
        "Confidence": 0.93,
        "Latitude": 52.5,
        "Longitude": 13.4,
        "Threshold": 0.7,
        "Sensitivity": 1.0,
        "ClipName": "2026/05/09/garden-Parus_major-044210",
        "ProcessingTime": 21_000_000,
        "occurrence": 0.25,
        "detectionId": number_of(sample_detection().id),
        "sourceId": "garden",
        "sourceName": "garden",
        "id": sample_detection().id,
        "state": "started",
        "windows": 3,
        "startSample": 960_000,
        "endSample": 1_176_000,
        "countToday": 3,
        "firstToday": False,
        "firstEver": False,
        "late": False,
    }


TYPES = {
    **dict.fromkeys(("SourceNode", "Date", "Time", "BeginTime", "EndTime", "SpeciesCode"), str),
    **dict.fromkeys(
        ("ScientificName", "CommonName", "ClipName", "sourceId", "sourceName", "id", "state"), str
    ),
    **dict.fromkeys(("Confidence", "Latitude", "Longitude", "Threshold", "Sensitivity", "occurrence"), float),
    **dict.fromkeys(
        ("ProcessingTime", "detectionId", "windows", "startSample", "endSample", "countToday"), int
    ),
    **dict.fromkeys(("firstToday", "firstEver", "late"), bool),
    "Model": dict,
}


@pytest.mark.parametrize(("name", "kind"), TYPES.items())
def test_each_name_has_its_type(name: str, kind: type) -> None:
    assert type(payload()[name]) is kind


def test_no_name_is_without_a_test_of_its_type() -> None:
    assert payload().keys() == TYPES.keys()


def test_an_unknown_occurrence_is_left_out_and_one_of_zero_is_not() -> None:
    assert "occurrence" not in payload(sample_detection(occurrence=None))
    assert payload(sample_detection(occurrence=0.0))["occurrence"] == 0.0


def test_a_station_without_location_is_at_zero_as_with_birdnet_go() -> None:
    nowhere = payload(location=None)
    assert (nowhere["Latitude"], nowhere["Longitude"]) == (0.0, 0.0)


def test_what_is_unknown_of_a_species_is_empty() -> None:
    assert payload(sample_detection(label=Label(3, "Engine", "Engine")))["SpeciesCode"] == ""


@pytest.mark.parametrize("changes", [{"clip_path": ""}, {"voice": True}])
def test_no_clip_is_named_when_none_will_be_kept(changes: dict[str, Any]) -> None:
    assert payload(sample_detection(**changes))["ClipName"] == ""


@pytest.mark.parametrize(
    ("model", "name", "version"),
    [
        ("BirdNET-2.4", "BirdNET", "2.4"),
        ("my-garden-birds-3", "my-garden-birds", "3"),
        ("plain", "plain", ""),
    ],
)
def test_the_model_has_a_name_and_a_version(model: str, name: str, version: str) -> None:
    assert payload(sample_detection(model=model))["Model"] == {
        "Name": name,
        "Version": version,
        "Variant": "",
    }


def test_addresses_of_the_page_come_along_where_there_are_some() -> None:
    there = payload(page_url="https://birds.example/detection/1")
    assert there["pageUrl"] == "https://birds.example/detection/1"
    assert "clipUrl" not in there
    assert payload(clip_url="https://birds.example/1")["clipUrl"] == "https://birds.example/1"


def test_the_tally_comes_along() -> None:
    told = payload(tally=sample_tally(count_today=1, first_today=True, first_ever=True))
    assert (told["countToday"], told["firstToday"], told["firstEver"]) == (1, True, True)


def test_nothing_is_called_like_epoch_seconds_that_is_none() -> None:
    """YA-WAMF takes `timestamp` and `ts` for epoch seconds, wherever they stand."""
    health = health_payload(sample_health())
    for told in (payload(), health, health["sources"]["garden"], daily_payload(sample_summary())):
        assert not {"timestamp", "ts"} & {name.lower() for name in told}


def test_a_resend_has_the_same_id_and_says_that_it_is_late() -> None:
    first, again = payload(), payload(late=True)
    assert (first["id"], first["state"], first["detectionId"]) == (
        again["id"],
        again["state"],
        again["detectionId"],
    )
    assert (first["late"], again["late"]) == (False, True)


def test_detection_ids_as_numbers_are_stable_and_exact_in_a_double() -> None:
    numbers = {number_of(f"{n:020x}") for n in range(2000)}
    assert len(numbers) == 2000
    assert all(0 <= number < 2**52 and int(float(number)) == number for number in numbers)
    assert number_of("615146f33c3c38ec8ccf") == 2089864856891982


@pytest.mark.parametrize(
    ("seconds", "late"), [(-5.0, False), (59.9, False), (60.0, False), (60.1, True), (3 * 3600, True)]
)
def test_late_is_more_than_a_minute_after_the_sound(seconds: float, late: bool) -> None:
    detection = sample_detection()
    assert is_late(detection, detection.end + timedelta(seconds=seconds), 60.0) is late


def test_topics_are_exactly_these() -> None:
    topics = Topics("birdwatchd/wood")
    assert topics.detection == "birdwatchd/wood"
    assert topics.ended == "birdwatchd/wood/ended"
    assert topics.source("garden") == "birdwatchd/wood/source/garden"
    assert topics.species(GREAT_TIT) == "birdwatchd/wood/species/parus-major"
    assert topics.status == "birdwatchd/wood/status"
    assert topics.health == "birdwatchd/wood/health"
    assert topics.daily == "birdwatchd/wood/daily"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Strix aluco", "strix-aluco"),
        ("Corvus (corone) cornix/sp. #+", "corvus-corone-cornix-sp"),
        ("Ünbekannt", "unbekannt"),
        ("鸟", "unknown"),
    ],
)
def test_a_species_is_one_level_of_a_topic(name: str, part: str) -> None:
    assert slug(name) == part


def sample_summary() -> DailySummary:
    return DailySummary(
        "wood", date(2026, 5, 8), ((GREAT_TIT, 41), (Label(2, "Strix aluco", "Tawny Owl"), 1))
    )


def test_health_on_the_wire_is_exactly_this() -> None:
    assert json.loads(encode(health_payload(sample_health()))) == {
        "node": "wood",
        "at": "2026-05-09T04:42:10+00:00",
        "uptimeSeconds": 90_000.5,
        "version": "0.1.0",
        "model": "tiny-1",
        "device": "cpu",
        "deliveriesWaiting": 2,
        "writtenBytes": 12_345_678,
        "sources": {
            "garden": {
                "capturedSeconds": 86_400.0,
                "analysedSeconds": 86_397.123,
                "lostSeconds": {"overrun": 1.5},
                "lastBlockAgeSeconds": 0.021,
                "levelDbfs": -61.25,
                "fault": "",
            }
        },
    }


def test_digital_silence_has_no_level_and_is_still_json() -> None:
    silent = sample_source_health(
        last_block_age_seconds=float("inf"), level_dbfs=float("-inf"), fault="no sound arrives"
    )
    told = json.loads(encode(health_payload(sample_health(silent))))["sources"]["garden"]
    assert (told["levelDbfs"], told["lastBlockAgeSeconds"], told["fault"]) == (None, None, "no sound arrives")


def test_a_day_on_the_wire_is_exactly_this() -> None:
    assert json.loads(encode(daily_payload(sample_summary()))) == {
        "node": "wood",
        "day": "2026-05-08",
        "detections": 42,
        "species": [
            {
                "ScientificName": "Parus major",
                "CommonName": "Great Tit",
                "SpeciesCode": "gretit1",
                "count": 41,
            },
            {"ScientificName": "Strix aluco", "CommonName": "Tawny Owl", "SpeciesCode": "", "count": 1},
        ],
    }


def test_names_keep_their_letters() -> None:
    told = payload(sample_detection(label=Label(1, "Parus major", "Große Kohlmeise ♂")))
    assert told["CommonName"] == "Große Kohlmeise ♂"
    assert datetime.fromisoformat(told["BeginTime"]).astimezone(UTC) == DAWN


@pytest.mark.parametrize(
    ("utc", "date_and_time", "begin"),
    [
        ("2027-03-28T00:59:59", "2027-03-28 01:59:59", "2027-03-28T01:59:59.000+01:00"),
        ("2027-03-28T01:00:00", "2027-03-28 03:00:00", "2027-03-28T03:00:00.000+02:00"),
        ("2026-10-25T00:30:00", "2026-10-25 02:30:00", "2026-10-25T02:30:00.000+02:00"),
        ("2026-10-25T01:30:00", "2026-10-25 02:30:00", "2026-10-25T02:30:00.000+01:00"),
        ("2028-02-29T11:00:00", "2028-02-29 12:00:00", "2028-02-29T12:00:00.000+01:00"),
        ("2026-12-31T22:59:59", "2026-12-31 23:59:59", "2026-12-31T23:59:59.000+01:00"),
        ("2026-12-31T23:00:00", "2027-01-01 00:00:00", "2027-01-01T00:00:00.000+01:00"),
    ],
)
def test_each_time_has_the_offset_of_its_moment(utc: str, date_and_time: str, begin: str) -> None:
    start = datetime.fromisoformat(utc).replace(tzinfo=UTC)
    detection = sample_detection(start=start, end=start + timedelta(seconds=3))
    wire = detection_payload(
        detection, sample_tally(), node="wood", location=None, zone=ZoneInfo("Europe/Berlin"), late=False
    )
    assert f"{wire['Date']} {wire['Time']}" == date_and_time
    assert wire["BeginTime"] == begin
    assert datetime.fromisoformat(wire["EndTime"]) == start + timedelta(seconds=3)


def test_a_time_that_may_be_wrong_says_so() -> None:
    def wire(dating: str) -> dict[str, Any]:
        return detection_payload(
            sample_detection(dating=dating), sample_tally(), node="wood", location=None, zone=UTC, late=False
        )

    assert "dating" not in wire("")
    assert [wire(word)["dating"] for word in ("unset", "corrected", "repeated")] == [
        "unset",
        "corrected",
        "repeated",
    ]
