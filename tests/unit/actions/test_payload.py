"""The JSON that servers and programs are given: frozen once released."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

from birdwatchd.actions.payload import encoded
from birdwatchd.config.schema import Location
from tests.doubles import FakeContext, sample_delivery, sample_detection


def test_the_payload_is_as_it_was_released() -> None:
    context = FakeContext(
        location=Location(latitude=52.5, longitude=13.4),
        zone=ZoneInfo("Europe/Berlin"),
        delivery=sample_delivery("tell"),
        page_url="https://birds.example/detection/1",
    )
    detection = sample_detection()
    assert json.loads(encoded(detection, context)) == {
        "node": "wood",
        "location": {"latitude": 52.5, "longitude": 13.4},
        "action": "tell",
        "key": f"{detection.id}/started/tell",
        "detection": {
            "start": "2026-05-09T06:42:10.250+02:00",
            "end": "2026-05-09T06:42:14.750+02:00",
            "seconds": 4.5,
            "common_name": "Great Tit",
            "scientific_name": "Parus major",
            "species_code": "gretit1",
            "score": 0.93,
            "threshold": 0.7,
            "occurrence": 0.25,
            "source": "garden",
            "site": "wood",
            "model": "tiny-1",
            "windows": 3,
            "voice": False,
            "clip_path": "2026/05/09/garden-Parus_major-044210",
            "state": "started",
            "id": detection.id,
            "run_id": "run-1",
            "start_sample": 960000,
            "end_sample": 1176000,
            "processing_ns": 21000000,
            "dating": "",
        },
        "tally": {"count_today": 3, "first_today": False, "first_of_season": False, "first_ever": False},
        "page_url": "https://birds.example/detection/1",
        "clip_url": None,
    }


def test_a_station_may_not_know_where_it_stands() -> None:
    assert json.loads(encoded(sample_detection(), FakeContext()))["location"] is None
