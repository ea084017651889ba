"""The clock is set: what the recorder has written, and writes later, gets the right times."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birdwatchd.actions import ActionConfig
from birdwatchd.dispatch.restraint import Restraint
from birdwatchd.errors import StoreError
from birdwatchd.store import dating, detections, runs, traces
from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Order
from birdwatchd.store.outbox import Outbox
from birdwatchd.store.posting import Posting
from birdwatchd.store.recorder import Recorder
from birdwatchd.trust import ClockChange, ClockStep
from tests.rows import DAWN, candidate, detection
from tests.unit.store.test_deliveries import Everything
from tests.unit.store.test_recorder import fill_the_disk, free_the_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from birdwatchd.domain import Detection

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RATE = 48000
WEEK = timedelta(days=7)
WRONG = EPOCH - DAWN
"""How far off a clock of 1970 is."""
FAR = -WRONG.total_seconds()


class Station:
    """A recorder on a clock that can be set."""

    def __init__(
        self,
        path: Path,
        router: Everything | None = None,
        run_id: str = "run-1",
        *,
        wall: datetime = EPOCH,
        boot: str = "",
    ) -> None:
        self.elapsed = 0.0
        self.wall = wall
        self.database = Database.open(path)
        offset = wall.timestamp()
        dating.take_up(self.database, boot, offset, wall)
        posting = Posting(router, UTC, lambda _: None) if router else None
        self.recorder = Recorder(
            self.database,
            run_id=run_id,
            posting=posting,
            boot=(boot, offset if boot else None),
            monotonic=lambda: self.elapsed,
            wall=lambda: self.wall + timedelta(seconds=self.elapsed),
        )
        self.outbox = Outbox(self.database)

    def set_clock(self, at: float, seconds: float, wrong_from: int | None, before: datetime) -> ClockChange:
        step = ClockStep(round(at * RATE), before, seconds, at, self.wall.timestamp())
        change = ClockChange("garden", RATE, step, wrong_from)
        self.wall += timedelta(seconds=seconds)
        self.recorder.change_clock(change)
        return change

    def found(self) -> list[Detection]:
        return list(detections.find(self.database, detections.Choice()))

    def close(self) -> None:
        self.outbox.close()
        self.database.close()


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    made = Station(tmp_path / "db", Everything(Order("mqtt", "durable", WEEK)))
    yield made
    made.close()


def unset(at: float, **changes: Any) -> Detection:
    """One that was heard so many seconds after the start, as the clock of 1970 dated it."""
    right = detection(at, state="started", dating="unset", **changes)
    return replace(right, start=right.start + WRONG, end=right.end + WRONG)


def test_what_was_heard_before_the_clock_was_set_gets_the_right_time_and_keeps_its_id(
    station: Station,
) -> None:
    early = unset(10)
    station.recorder.record(early)
    station.recorder.trace([replace(candidate(10), start=DAWN + WRONG + timedelta(seconds=10))])
    station.elapsed = 60
    station.set_clock(60, FAR, 0, EPOCH + timedelta(seconds=60))
    station.recorder.record(detection(70))
    assert [(one.id, one.start, one.end, one.dating) for one in station.found()] == [
        (early.id, detection(10).start, detection(10).end, "corrected"),
        (detection(70).id, detection(70).start, detection(70).end, ""),
    ]
    (found,) = traces.between(station.database, DAWN, DAWN + timedelta(seconds=60))
    assert found.start == DAWN + timedelta(seconds=10)
    assert station.database.rows("SELECT run_id, source, seconds, corrected_from FROM clock_steps")[0][:] == (
        "run-1",
        "garden",
        FAR,
        0,
    )
    begun = runs.before(station.database, DAWN + timedelta(days=1))
    assert begun is not None
    assert begun.started == DAWN


def test_what_ends_after_the_clock_was_set_is_dated_anew_too(station: Station) -> None:
    started = unset(10)
    station.recorder.record(started)
    station.set_clock(13, FAR, 0, EPOCH + timedelta(seconds=13))
    station.recorder.record(replace(started, state="ended", end=started.end, windows=9))
    (found,) = station.found()
    assert (found.start, found.end, found.windows, found.dating) == (
        detection(10).start,
        detection(10).end,
        9,
        "corrected",
    )


def test_a_detection_that_lasts_over_the_setting_is_as_long_as_it_was(station: Station) -> None:
    started = unset(10)
    station.recorder.record(started)
    station.set_clock(13, FAR, 0, EPOCH + timedelta(seconds=13))
    over = replace(started, state="ended", end=DAWN + timedelta(seconds=20), end_sample=20 * RATE)
    station.recorder.record(over)
    (found,) = station.found()
    assert (found.start, found.end) == (DAWN + timedelta(seconds=10), DAWN + timedelta(seconds=20))


def test_what_waits_is_told_with_the_right_time_and_its_full_age(station: Station) -> None:
    station.recorder.record(unset(10))
    station.elapsed = 3600
    before = station.wall + timedelta(seconds=3600)
    station.recorder.move_deliveries(before, FAR, lambda: None)
    station.set_clock(3600, FAR, 0, before)
    (entry,) = station.outbox.waiting("mqtt", 10)
    told = entry.delivery.detection
    assert (told.start, told.dating) == (DAWN + timedelta(seconds=10), "corrected")
    assert entry.delivery.created == pytest.approx(DAWN, abs=timedelta(milliseconds=2))
    assert entry.expires == pytest.approx(DAWN + WEEK, abs=timedelta(milliseconds=2))


@pytest.mark.parametrize("seconds", [366 * 86400.0, -366 * 86400.0, 3600.0, -3600.0])
def test_a_jump_of_the_clock_gives_up_no_delivery_and_delays_none(tmp_path: Path, seconds: float) -> None:
    station = Station(tmp_path / "db", Everything(Order("mqtt", "durable", WEEK)))
    station.wall = DAWN
    station.recorder.record(detection(0))
    adopted: list[bool] = []
    station.recorder.move_deliveries(DAWN, seconds, lambda: adopted.append(True))
    now = DAWN + timedelta(seconds=seconds)
    assert adopted == [True]
    assert station.outbox.expire("mqtt", "dead", "too old", now + timedelta(days=6)) == 0
    assert len(station.outbox.waiting("mqtt", 10, due=now + timedelta(seconds=1))) == 1
    station.close()


def test_what_an_earlier_run_left_in_1970_gets_its_whole_time(tmp_path: Path) -> None:
    first = Station(tmp_path / "db", Everything(Order("mqtt", "durable", WEEK)))
    first.recorder.record(unset(10))
    first.close()
    second = Station(tmp_path / "db", run_id="run-2")
    second.wall = DAWN
    assert second.outbox.waiting("mqtt", 1)[0].expires == EPOCH + WEEK  # that one began in 1970 as well
    second.recorder.move_deliveries(EPOCH - timedelta(hours=1), FAR + 3600, lambda: None)
    (entry,) = second.outbox.waiting("mqtt", 1, due=DAWN)
    assert entry.expires == DAWN + WEEK
    second.close()


def test_what_a_right_clock_wrote_is_due_on_a_clock_of_1970(tmp_path: Path) -> None:
    first = Station(tmp_path / "db", Everything(Order("mqtt", "durable", WEEK)))
    first.wall = DAWN
    first.recorder.record(detection(0))
    assert len(first.outbox.waiting("mqtt", 10, due=EPOCH)) == 1
    # And when the time is known again, it is as old as it is.
    first.recorder.move_deliveries(EPOCH, FAR, lambda: None)
    assert first.outbox.waiting("mqtt", 1)[0].expires == DAWN + WEEK
    first.close()


def test_what_is_on_no_disk_yet_is_put_right_as_well(
    station: Station,
) -> None:
    station.recorder.record(unset(10))
    fill_the_disk(station.database)
    for at in range(20, 400, 10):
        station.recorder.record(unset(at))
    station.elapsed = 400
    station.set_clock(400, FAR, 0, EPOCH + timedelta(seconds=400))
    assert station.recorder.pending
    free_the_disk(station.database)
    assert station.recorder.flush()
    assert [one.start for one in station.found()] == [
        DAWN + timedelta(seconds=at) for at in range(10, 400, 10)
    ]
    assert {one.dating for one in station.found()} == {"corrected"}


def test_other_runs_and_sources_stay_as_they_are(tmp_path: Path) -> None:
    first = Station(tmp_path / "db")
    first.recorder.record(detection(-100, source="pond"))
    first.close()
    second = Station(tmp_path / "db", run_id="run-2")
    second.recorder.record(unset(10, run_id="run-2"))
    second.recorder.record(detection(20, run_id="run-2", source="pond"))
    second.set_clock(60, FAR, 0, EPOCH + timedelta(seconds=60))
    assert [one.dating for one in second.found()] == ["", "corrected", ""]
    second.close()


def heard_by(folder: Path, run_id: str, wall: datetime, boot: str, *ats: float) -> None:
    """A run on a clock of that offset, that was killed."""
    station = Station(folder / "db", run_id=run_id, wall=wall, boot=boot)
    for at in ats:
        right = detection(at, run_id=run_id)
        station.recorder.record(replace(right, start=right.start - DAWN + wall, end=right.end - DAWN + wall))
    station.close()


@pytest.mark.parametrize("boot", ["this", "another"])
def test_earlier_runs_of_the_same_boot_had_the_same_clock(tmp_path: Path, boot: str) -> None:
    heard_by(tmp_path, "run-1", EPOCH, boot, 10, 20)
    station = Station(tmp_path / "db", run_id="run-2", boot="this")
    station.recorder.record(unset(100, run_id="run-2"))
    station.set_clock(110, FAR, 0, EPOCH + timedelta(seconds=110))
    station.set_clock(110, 0.0, None, DAWN)  # another source's account of the same step changes nothing more
    found = station.found()
    last = DAWN + timedelta(seconds=100)
    right = [DAWN + timedelta(seconds=10), DAWN + timedelta(seconds=20), last]
    wrong = [EPOCH + timedelta(seconds=10), EPOCH + timedelta(seconds=20), last]
    assert [one.start for one in found] == (right if boot == "this" else wrong)
    assert [one.dating for one in found][-1] == "corrected"
    station.close()


def test_a_disk_on_which_nothing_can_be_dated_anew_is_said_in_one_sentence(tmp_path: Path) -> None:
    heard_by(tmp_path, "run-1", EPOCH, "this", 10)
    with Database.open(tmp_path / "db") as database:
        database.rows("PRAGMA query_only = 1")
        with pytest.raises(StoreError, match="read-only"):
            dating.take_up(database, "this", DAWN.timestamp(), DAWN)
        assert [one.start for one in detections.find(database, detections.Choice())] == [
            EPOCH + timedelta(seconds=10)
        ]


@pytest.mark.parametrize(
    ("wall", "boot", "corrected"),
    [
        (EPOCH, "this", True),  # in 1970 until it ended
        (DAWN + timedelta(hours=1), "this", True),  # it died while the clock was wrong
        (DAWN + timedelta(seconds=0.3), "this", False),
        (EPOCH, "another", False),
        (DAWN + timedelta(hours=1), "another", False),
    ],
)
def test_a_clock_that_was_set_between_two_runs(
    tmp_path: Path, wall: datetime, boot: str, *, corrected: bool
) -> None:
    heard_by(tmp_path, "run-1", wall, boot, 10)
    station = Station(tmp_path / "db", run_id="run-2", wall=DAWN, boot="this")
    (found,) = station.found()
    assert found.start == (DAWN if corrected else wall) + timedelta(seconds=10)
    assert found.dating == ("corrected" if corrected else "")
    station.close()


def test_a_run_that_ran_for_long_is_believed_when_the_next_one_has_another_clock(tmp_path: Path) -> None:
    first = Station(tmp_path / "db", wall=DAWN, boot="this")
    first.recorder.record(detection(10))
    first.elapsed = 2 * 86400
    first.recorder.record(detection(2 * 86400))
    first.close()
    second = Station(tmp_path / "db", run_id="run-2", wall=DAWN + timedelta(days=366), boot="this")
    assert [one.dating for one in second.found()] == ["", ""]
    second.close()


def test_what_was_believed_stays_and_what_comes_twice_is_marked(station: Station) -> None:
    station.recorder.record(detection(3000))
    station.set_clock(3600, -3600, None, DAWN + timedelta(seconds=3600))
    again = replace(detection(3700), start=DAWN + timedelta(seconds=100), end=DAWN + timedelta(seconds=104))
    station.recorder.record(again)
    assert [(one.start_sample // RATE, one.dating) for one in station.found()] == [
        (3700, "repeated"),
        (3000, ""),
    ]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ahead=st.lists(st.floats(-3e8, 3e8).filter(lambda x: abs(x) > 2), min_size=1, max_size=5),
    begun=st.floats(-1e9, 1e9),
)
def test_whatever_the_clock_does_in_its_first_day_order_is_kept(
    tmp_path_factory: pytest.TempPathFactory, ahead: list[float], begun: float
) -> None:
    """As long as each step is taken for a correction: all that the run has heard lies in the order of its samples."""
    station = Station(tmp_path_factory.mktemp("order") / "db")
    offset = timedelta(seconds=begun)
    for number, seconds in enumerate(ahead):
        for at in (number * 100 + 10, number * 100 + 60):
            right = detection(at)
            station.recorder.record(replace(right, start=right.start + offset, end=right.end + offset))
        at = number * 100 + 100
        station.set_clock(at, seconds, 0, DAWN + timedelta(seconds=at) + offset)
        offset += timedelta(seconds=seconds)
    found = station.found()
    assert [one.start_sample for one in found] == sorted(one.start_sample for one in found)
    for one in found:
        true = DAWN + timedelta(seconds=one.start_sample / RATE) + offset
        assert one.start == pytest.approx(true, abs=timedelta(milliseconds=1))
        assert one.end - one.start == pytest.approx(timedelta(seconds=4.5), abs=timedelta(milliseconds=1))
    station.close()


@pytest.mark.parametrize("seconds", [-1800.0, 1800.0, 3e8])
def test_a_cooldown_is_as_long_as_it_was(seconds: float) -> None:
    restraint = Restraint(ActionConfig(name="lamp", kind="log", cooldown_seconds=3600))
    restraint.acted(detection(0))
    restraint.settle(kept=True)
    restraint.move(DAWN + timedelta(seconds=600), seconds)
    moved = timedelta(seconds=seconds)

    def heard(at: float) -> Detection:
        one = detection(at)
        return replace(one, id=f"{at}", start=one.start + moved, end=one.end + moved)

    assert restraint.refusal(heard(3500))
    assert not restraint.refusal(heard(3700))
