"""The whole daemon in the nights when clocks change: libfaketime says what the time is. Listening hours go by the clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.store import detections
from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Choice, find
from birdwatchd.store.ledger import between
from tests.faults import test_time
from tests.faults.station import ROOT, Station
from tests.faults.test_time import TONES, Clock
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = test_time.pytestmark
MORE = """\
listening: [{hours}]
location:
  latitude: 52.5
  longitude: 13.4
  timezone: Europe/Berlin
actions:
  - name: hook
    kind: webhook
    url: http://127.0.0.1:9/nobody-is-there
    when: {{quiet: ["{quiet}"]}}
"""
SPRING = datetime(2027, 3, 28, 1, tzinfo=UTC)
"""It was 02:00, and is 03:00."""
AUTUMN = datetime(2026, 10, 25, 1, tzinfo=UTC)
"""It was 03:00, and is 02:00 again."""
SOON = timedelta(seconds=90)
"""So long may it take to start."""


class Night:
    """A daemon that starts a little before clocks change."""

    def __init__(self, folder: Path, bundle: Path, change: datetime, hours: str, quiet: str) -> None:
        folder.mkdir()
        self.change = change
        self.clock = Clock(folder, change - SOON)
        more = MORE.format(hours=hours, quiet=quiet)
        self.station = Station(
            folder, bundle, TONES, self.clock.environment, more=more, module="tests.faults.faked"
        )
        self.station.start(wait=False)

    def pass_the_change(self) -> None:
        self.station.wait_for("listening", seconds=85)
        wait_until(lambda: self.clock.now() > self.change + timedelta(seconds=30), "it is past it", 180)

    def source(self) -> dict[str, Any]:
        """What `birdwatchd status` says of it."""
        said = subprocess.run(
            [sys.executable, "-m", "birdwatchd", "status", "-c", self.station.config, "--json"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
            timeout=60,
        )
        (source,) = json.loads(said.stdout)["sources"]
        found: dict[str, Any] = source
        return found

    def starts(self) -> list[datetime]:
        with Database.open(self.station.database, read_only=True) as database:
            return [one.start for one in detections.find(database, detections.Choice())]

    def delivered(self) -> list[datetime]:
        """Of which detections the action is to tell."""
        with Database.open(self.station.database, read_only=True) as database:
            return [one.delivery.detection.start for one in find(database, Choice())]

    def seconds(self) -> dict[str, float]:
        with Database.open(self.station.database, read_only=True) as database:
            entries = list(between(database))
        return {kind: sum(one.seconds for one in entries if kind in (one.kind, one.cause)) for kind in KINDS}


KINDS = ("expected", "captured", "analysed", "lost", "not listening hours")


@pytest.fixture
def nights(tmp_path: Path, tiny_bundle: Path) -> Iterator[dict[str, Night]]:
    """Both at once, each in a daemon of its own."""
    found = {
        # At 03:00 it begins, an hour of the clock early; until then an action keeps still.
        "spring": Night(tmp_path / "spring", tiny_bundle, SPRING, "03:00..12:00", "00:00..03:00"),
        # At 03:00 it would end, and an action may speak again: that is when it is 03:00 for the second time.
        "autumn": Night(tmp_path / "autumn", tiny_bundle, AUTUMN, "00:00..03:00", "02:00..03:00"),
    }
    yield found
    for night in found.values():
        night.station.__exit__()


def test_hours_go_by_the_clock_when_it_changes(nights: dict[str, Night]) -> None:
    for night in nights.values():
        night.pass_the_change()
    spring, autumn = nights["spring"], nights["autumn"]
    shown = {name: night.source() for name, night in nights.items()}
    for night in nights.values():
        night.station.stop()

    assert [event["event"] for event in spring.station.events() if "listening hours" in event["event"]] == [
        "not listening hours, sound is skipped",
        "listening hours",
    ]
    assert spring.starts()
    assert min(spring.starts()) >= SPRING
    assert spring.seconds()["not listening hours"] > 0
    assert (shown["spring"]["state"], shown["spring"]["hours"]["until"]) == (
        "listening",
        "2027-03-28T10:00:00.000+00:00",
    )
    assert sorted(spring.delivered()) == sorted(spring.starts())  # no longer quiet hours

    assert [event["event"] for event in autumn.station.events() if "listening hours" in event["event"]] == [
        "listening hours"
    ]
    assert min(autumn.starts()) < AUTUMN < max(autumn.starts())
    assert autumn.seconds()["not listening hours"] == 0
    assert shown["autumn"]["hours"] == {"inside": True, "until": "2026-10-25T02:00:00.000+00:00"}
    assert autumn.delivered() == []  # still quiet hours

    for night in nights.values():
        seconds = night.seconds()
        assert seconds["expected"] == pytest.approx(seconds["captured"] + seconds["lost"], abs=0.01)
