"""The station's own time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

import pytest

from birdwatchd.config import zone
from birdwatchd.config.schema import Location
from birdwatchd.config.zone import station_zone

BERLIN = Location(latitude=52.5, longitude=13.4, timezone="Europe/Berlin")
SUMMER, WINTER = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


def test_the_config_says_it() -> None:
    assert station_zone(BERLIN) == ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("location", [None, Location(latitude=1, longitude=2)])
def test_else_the_environment_says_it(location: Location | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Asia/Tokyo")
    assert station_zone(location) == ZoneInfo("Asia/Tokyo")


def test_else_the_machine_with_its_summer_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    known = [Path(folder) / "America/New_York" for folder in TZPATH]
    file = next((path for path in known if path.is_file()), None)
    if file is None:
        pytest.skip("this machine has no zone files")
    monkeypatch.setattr(zone, "LOCALTIME", file)
    found = station_zone(None)
    assert SUMMER.astimezone(found).utcoffset() == timedelta(hours=-4)
    assert WINTER.astimezone(found).utcoffset() == timedelta(hours=-5)


@pytest.mark.parametrize("named", ["Mars/Olympus", "/etc/hostname", "/nowhere", "../../etc/passwd"])
def test_where_nobody_knows_it_is_utc(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", named)
    assert station_zone(None) is UTC
