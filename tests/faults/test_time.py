"""The whole daemon on a clock that is wrong, or is set: libfaketime changes what the time is, for it and its ffmpeg alone."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.store import deliveries, detections
from birdwatchd.store.database import Database
from birdwatchd.store.ledger import between
from tests.faults.station import ROOT, Station
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from birdwatchd.domain import Detection, LedgerEntry
    from birdwatchd.store.deliveries import Entry

LIBRARY = next(map(str, Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), "")
pytestmark = [
    pytest.mark.skipif(not LIBRARY, reason="no libfaketime: apt-get install faketime"),
    pytest.mark.long,
]
RATE = 48000
TONES = """\
  - name: garden
    kind: stream
    url: aevalsrc='0.3*sin(2*PI*4000*t)*lt(mod(t,9),4)':sample_rate=48000
    ffmpeg_options: [-re, -f, lavfi]
"""
"""Four seconds of the high tone, five of silence, and so on."""
MORE = """\
  retention:
    days: 30
deciding:
  hold_seconds: 3
location:
  latitude: 52.5
  longitude: 13.4
  timezone: Europe/Berlin
actions:
  - name: hook
    kind: webhook
    url: http://127.0.0.1:9/nobody-is-there
"""
MORNING = datetime(2026, 6, 10, 4, 20, tzinfo=UTC)


class Clock:
    """What the daemon takes for the time."""

    def __init__(self, folder: Path, moment: datetime) -> None:
        self._file = folder / "faketime"
        self.offset = 0.0
        self.set(moment)

    def set(self, moment: datetime) -> None:
        """It is that time now."""
        self.offset = moment.timestamp() - time.time()
        # Whole, or not at all: it is read at each look at the clock.
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self.offset:+.3f}\n")
        fresh.replace(self._file)

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.offset, UTC)

    def step(self, by: timedelta) -> None:
        self.set(self.now() + by)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "LD_PRELOAD": LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


class Wood:
    """The daemon, its clock, and what it has written."""

    def __init__(self, folder: Path, bundle: Path, moment: datetime) -> None:
        self.clock = Clock(folder, moment)
        self.station = Station(
            folder, bundle, TONES, self.clock.environment, more=MORE, module="tests.faults.faked"
        )

    def hear(self, more: int) -> None:
        """So many detections more are on the disk."""
        wanted = len(self.station.events("detection")) + more
        self.station.wait_for("detection", times=wanted, seconds=90.0 * more)

    def read(self, what: Callable[[Database], Any]) -> Any:
        with Database.open(self.station.database, read_only=True) as database:
            return what(database)

    def detections(self) -> list[Detection]:
        """In the order of their times."""
        return list(self.read(lambda database: list(detections.find(database, detections.Choice()))))

    def deliveries(self) -> list[Entry]:
        return list(self.read(lambda database: list(deliveries.find(database, deliveries.Choice()))))

    def boot(self) -> None:
        """The machine was off in between: as if the runs until now were those of another boot."""
        with Database.open(self.station.database) as database, database.transaction() as connection:
            connection.execute("UPDATE runs SET boot = 'another'")

    def summaries(self) -> list[list[str]]:
        """The day that was told last, with its number of detections."""
        rows = self.read(
            lambda database: database.rows("SELECT value FROM memory WHERE name = 'daily summary'")
        )
        return [row["value"].split(" on ")[::-1] for row in rows]

    def wait_for_summary(self, days: list[str]) -> None:
        wait_until(lambda: [day for day, _ in self.summaries()] == days, f"{days} are told", 60)

    def wait_for_time(self, moment: datetime) -> None:
        wait_until(lambda: self.clock.now() > moment, f"it is {moment}", 120)

    def wait_for_steps(self, count: int) -> None:
        wait_until(lambda: len(self.clock_steps()) == count, f"{count} steps are written down", 60)

    def clock_steps(self) -> list[tuple[float, int | None]]:
        rows = self.read(lambda database: database.rows("SELECT seconds, corrected_from FROM clock_steps"))
        return [(row["seconds"], row["corrected_from"]) for row in rows]

    def ledger(self) -> list[LedgerEntry]:
        return list(self.read(between))

    def shown(self) -> list[dict[str, Any]]:
        """What `birdwatchd detections --json` says."""
        done = subprocess.run(
            [sys.executable, "-m", "birdwatchd", "detections", "-c", self.station.config, "--json"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
            timeout=60,
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found


@pytest.fixture
def wood(tmp_path: Path, tiny_bundle: Path) -> Iterator[Callable[..., Wood]]:
    made: list[Wood] = []

    def make(moment: datetime, name: str = "wood", *, wait: bool = True) -> Wood:
        folder = tmp_path / name
        folder.mkdir()
        made.append(Wood(folder, tiny_bundle, moment))
        made[-1].station.start(wait=wait)
        return made[-1]

    yield make
    for one in made:
        one.station.__exit__()


def in_order(found: list[Detection]) -> None:
    """The order of their times is that of their samples, and they are as far from each other as these."""
    for one, following in itertools.pairwise(found):
        seconds = (following.start_sample - one.start_sample) / RATE
        assert seconds > 0
        # A source that was opened once and never lost: samples are the time.
        assert (following.start - one.start).total_seconds() == pytest.approx(seconds, abs=0.6)
    assert all(timedelta() < one.end - one.start < timedelta(seconds=31) for one in found)


def balanced(entries: list[LedgerEntry]) -> dict[datetime, float]:
    """Expected seconds by hour: captured and lost together, in each hour; nothing is negative, no hour longer than one."""
    hours: dict[datetime, dict[str, float]] = {}
    for entry in entries:
        assert entry.seconds > 0, entry
        kinds = hours.setdefault(entry.hour, {})
        kinds[entry.kind] = kinds.get(entry.kind, 0.0) + entry.seconds
    for hour, kinds in hours.items():
        heard = kinds.get("captured", 0.0) + kinds.get("lost", 0.0)
        assert kinds.get("expected", 0.0) == pytest.approx(heard, abs=0.01), hour
        assert kinds.get("expected", 0.0) <= 3601
    return {hour: kinds["expected"] for hour, kinds in hours.items() if "expected" in kinds}


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


@pytest.mark.parametrize(
    ("asleep", "began"),
    [
        ("no clock", datetime(1970, 1, 1, 0, 0, 20, tzinfo=UTC)),
        ("the last shutdown", MORNING - timedelta(hours=10)),
        ("ahead", MORNING + timedelta(hours=2)),
    ],
)
def test_what_was_heard_before_the_time_was_known_is_dated_anew(
    wood: Callable[..., Wood], asleep: str, began: datetime
) -> None:
    place = wood(began)
    place.hear(2)
    early = place.detections()
    assert early[0].start < began + timedelta(minutes=5)
    assert early[0].dating == ("unset" if asleep == "no clock" else "")
    first = time.time()
    place.clock.set(MORNING)
    place.station.wait_for("detections dated anew, the clock was wrong")
    place.hear(1)
    place.station.stop()

    found = place.detections()
    in_order(found)
    assert [one.id for one in found[: len(early)]] == [one.id for one in early]
    assert [one.dating for one in found][:2] == ["corrected"] * 2
    assert found[-1].dating == ""
    # What was heard last before the clock was set, was heard just before that.
    last = found[len(early) - 1]
    assert MORNING - timedelta(seconds=60) < last.start < MORNING
    assert abs(time.time() - first - (place.clock.now() - MORNING).total_seconds()) < 1

    hours = balanced(place.ledger())
    assert set(hours) <= {hour_of(MORNING)}
    waiting = place.deliveries()
    assert {entry.delivery.status for entry in waiting} == {"waiting"}
    assert all(entry.expires > MORNING + timedelta(days=6) for entry in waiting)
    assert {entry.delivery.detection.start for entry in waiting} <= {one.start for one in found}
    ((started, seen),) = place.read(lambda database: database.rows("SELECT started_utc, seen_utc FROM runs"))
    assert started[:13] == seen[:13] == f"{MORNING:%Y-%m-%dT%H}"
    ((seconds, corrected_from),) = place.clock_steps()
    assert seconds == pytest.approx((MORNING - began).total_seconds(), abs=300)
    assert corrected_from == 0
    if asleep == "no clock":
        warnings = place.station.events(
            "the system clock was not set: until it is, times are wrong and no week of the year is assumed"
        )
        assert len(warnings) == 1
        assert len(place.station.events("the system clock is set")) == 1


def test_a_clock_that_runs_ahead_for_a_while_costs_nothing(wood: Callable[..., Wood]) -> None:
    place = wood(MORNING)
    old = place.station.database.parent / "clips" / "2026" / "old.wav"
    old.parent.mkdir(parents=True, exist_ok=True)
    for path, text in ((old, ""), (old.with_suffix(".json"), '{"birdwatchd": "0.1.0", "detection": {}}')):
        path.write_text(text)
        os.utime(path, (MORNING.timestamp() - place.clock.offset,) * 2)
    place.hear(1)
    for steps, year in enumerate((timedelta(days=366), timedelta(days=-366)), start=1):
        place.clock.step(year)
        place.wait_for_steps(steps)
        place.hear(1)
    place.station.stop()
    found = place.detections()
    in_order(found)
    assert all(timedelta() <= one.start - MORNING < timedelta(minutes=10) for one in found)
    assert set(balanced(place.ledger())) <= {hour_of(MORNING)}
    assert {entry.delivery.status for entry in place.deliveries()} == {"waiting"}
    # None waits for a time that is a year away.
    assert all(entry.next < place.clock.now() + timedelta(minutes=10) for entry in place.deliveries())
    assert old.exists()
    # The jobs go on: a minute was no year.
    assert not any("exception" in event for event in place.station.events())


@pytest.mark.parametrize("rebooted", [False, True])
def test_a_run_that_never_learnt_the_time_loses_nothing(wood: Callable[..., Wood], *, rebooted: bool) -> None:
    place = wood(datetime(1970, 1, 1, 0, 0, 20, tzinfo=UTC))
    place.hear(1)
    early = place.detections()
    place.station.send(signal.SIGKILL)
    place.station.ended()
    if rebooted:
        place.boot()
    place.clock.set(MORNING)
    place.station.start()
    place.hear(1)
    place.station.stop()

    found = place.detections()
    assert [one.id for one in found[: len(early)]] == [one.id for one in early]
    # The clock of a boot that is over is known to nobody; that of this one was wrong by what it was set.
    assert {one.dating for one in found[: len(early)]} == {"unset" if rebooted else "corrected"}
    assert {one.dating for one in found[len(early) :]} == {""}
    if not rebooted:
        assert all(MORNING - timedelta(minutes=3) < one.start for one in found)
    # What waited since 1970 waits on, for its whole time.
    waiting = place.deliveries()
    assert {entry.delivery.status for entry in waiting} == {"waiting"}
    assert min(entry.expires for entry in waiting) > MORNING + timedelta(days=6)
    # Half a century without the daemon is no time that it was off.
    assert [entry for entry in place.ledger() if entry.kind == "off"] == []


def test_a_midnight_that_was_missed_is_made_up_once(wood: Callable[..., Wood]) -> None:
    evening = datetime(2026, 6, 10, 20, 30, tzinfo=UTC)
    place = wood(evening)
    place.hear(1)
    place.station.stop()
    assert place.summaries() == []
    for hours in (9, 1):
        place.boot()
        place.clock.set(evening + timedelta(hours=9) + timedelta(hours=hours))
        place.station.start()
        place.wait_for_summary(["2026-06-10"])
        told = place.summaries()
        place.hear(1)
        place.station.stop()
    assert place.summaries() == told
    jobs = [event for event in place.station.events() if "exception" in event]
    assert jobs == []


CALENDAR = {
    "a leap day": datetime(2028, 2, 28, 23, 59, 55, tzinfo=UTC),
    "a year end": datetime(2026, 12, 31, 23, 59, 55, tzinfo=UTC),
    "spring": datetime(2027, 3, 28, 0, 59, 55, tzinfo=UTC),
    "autumn": datetime(2026, 10, 25, 0, 59, 55, tzinfo=UTC),
}


def test_days_of_the_calendar_that_are_unlike_others(wood: Callable[..., Wood]) -> None:
    """All four at once, each in a daemon of its own."""
    places = {
        # So long may it take to start.
        name: wood(moment - timedelta(seconds=90), name, wait=False)
        for name, moment in CALENDAR.items()
    }
    for name, place in places.items():
        place.station.wait_for("listening", seconds=85)
        moment = CALENDAR[name]
        place.wait_for_time(moment + timedelta(seconds=5))
    for place in places.values():
        place.hear(2)
    for place in places.values():
        place.station.stop()
    for name, place in places.items():
        check_calendar(place, CALENDAR[name], timedelta(hours=2 if name == "spring" else 1))


def check_calendar(place: Wood, moment: datetime, offset: timedelta) -> None:
    """It heard across the full hour after `moment`, from when on the station's zone has that offset."""
    found = place.detections()
    in_order(found)
    assert {one.dating for one in found} == {""}
    assert set(balanced(place.ledger())) == {hour_of(moment), hour_of(moment) + timedelta(hours=1)}
    shown = [datetime.fromisoformat(one["start"]) for one in place.shown()]
    assert shown == [one.start.replace(microsecond=one.start.microsecond // 1000 * 1000) for one in found]
    assert {at.utcoffset() for at in shown if at > moment + timedelta(seconds=5)} == {offset}
    assert place.clock_steps() == []
