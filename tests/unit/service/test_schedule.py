"""What is due now and then is done, whatever became of it the last time."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
import structlog

from birdwatchd.service.schedule import Schedule, every_so_often, once_a_day
from tests.integration.waiting import wait_until


def test_work_is_done_at_once_and_again_even_when_it_failed() -> None:
    done = threading.Semaphore(0)

    def work() -> None:
        done.release()
        raise ValueError("that did not work")

    schedule = Schedule()
    schedule.every(0.05, "work", work, at_once=True)
    with schedule:
        for _ in range(3):
            assert done.acquire(timeout=30)


def test_what_is_prompt_does_not_wait_for_slow_work_and_nobody_is_told_each_time_that_it_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, told, may_end = threading.Event(), threading.Semaphore(0), threading.Event()

    def work() -> None:
        begun.set()
        assert may_end.wait(60)

    schedule = Schedule()
    schedule.every(0.02, "retention", work, at_once=True)
    with schedule:
        assert begun.wait(30)
        schedule.every(0.02, "health", told.release, at_once=True, promptly=True)
        for _ in range(4):
            assert told.acquire(timeout=30)
        may_end.set()
    assert not caplog.records


def test_nothing_begins_once_it_is_left() -> None:
    begun = threading.Event()
    far = datetime.now(UTC) + timedelta(hours=12)
    schedule = Schedule()
    schedule.every(3600, "work", begun.set)
    schedule.daily(far.hour, far.minute, "more work", begun.set)
    with schedule:
        pass
    assert not begun.is_set()


def test_whoever_is_at_work_when_it_is_left_may_fail_without_an_alarm_and_nobody_follows() -> None:
    begun, left, failed = threading.Event(), threading.Event(), threading.Event()
    followed = threading.Event()
    others = set(threading.enumerate())

    def work() -> None:
        begun.set()
        assert left.wait(30)
        failed.set()
        raise ValueError("Cannot operate on a closed database.")

    schedule = Schedule()
    schedule.every(3600, "work", work, at_once=True)
    schedule.every(3600, "next in line", followed.set, at_once=True)
    with structlog.testing.capture_logs() as lines:
        with schedule:
            assert begun.wait(30)
        left.set()
        wait_until(lambda: bool(lines), "it says how it ended")
        wait_until(
            lambda: not any(one.name == "schedule" for one in {*threading.enumerate()} - others),
            "the thread has ended",
        )
    assert failed.is_set()
    assert not followed.is_set()
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("scheduled work was cut short", "info")
    ]


LONG_WORK = """
import threading
from birdwatchd.service.schedule import Schedule
begun = threading.Event()
def work():
    begun.set()
    threading.Event().wait()
schedule = Schedule()
schedule.every(3600, "work", work, at_once=True)
with schedule:
    assert begun.wait(60)
"""


def test_a_process_ends_whatever_is_at_work() -> None:
    """APScheduler's own threads are waited for at the exit: a folder of a million clips took the daemon's whole time to stop."""
    assert subprocess.run([sys.executable, "-c", LONG_WORK], check=False, timeout=120).returncode == 0


def fires(at: time, zone: str, first: str, count: int) -> list[datetime]:
    trigger = once_a_day(at, lambda: ZoneInfo(zone))
    found: list[datetime] = []
    now = datetime.fromisoformat(first).replace(tzinfo=UTC)
    for _ in range(count):
        found.append(trigger.get_next_fire_time(found[-1] if found else None, now))
        now = found[-1] + timedelta(milliseconds=1)
    return found


@pytest.mark.parametrize(
    ("zone", "at", "first"),
    [
        ("Europe/Berlin", time(2, 30), "2026-03-27"),  # 02:30 is skipped on the 29th
        ("Europe/Berlin", time(2, 30), "2026-10-23"),  # and there twice on the 25th
        ("Asia/Beirut", time(0, 1), "2026-03-27"),  # clocks go from 00:00 to 01:00
        ("America/Havana", time(0, 1), "2026-10-30"),  # and from 01:00 to 00:00
        ("Australia/Lord_Howe", time(2, 15), "2026-10-02"),  # by half an hour
        ("Pacific/Apia", time(23, 59), "2011-12-28"),  # where a whole day was left out
    ],
)
def test_every_day_has_its_time_once(zone: str, at: time, first: str) -> None:
    found = fires(at, zone, first, 6)
    days = [one.astimezone(ZoneInfo(zone)).date() for one in found]
    assert len(set(days)) == 6
    for before, after in pairwise(found):
        assert timedelta(hours=22) <= after - before <= timedelta(hours=26)
    late = [one.astimezone(ZoneInfo(zone)) for one in found if one.astimezone(ZoneInfo(zone)).time() != at]
    assert len(late) <= 1


def test_it_says_what_is_next_and_how_it_went() -> None:
    def fail() -> None:
        raise ValueError("no disk")

    far = f"{datetime.now(ZoneInfo('Europe/Berlin')) + timedelta(hours=12):%H:%M}"
    schedule = Schedule(ZoneInfo("Europe/Berlin"))
    schedule.every(3600, "retention", lambda: None, at_once=True)
    schedule.every(90, "health", fail, at_once=True)
    schedule.daily(int(far[:2]), int(far[3:]), "daily summary", lambda: None)
    with schedule:
        wait_until(
            lambda: sum(job.outcome not in ("", "at work") for job in schedule.jobs()) == 2, "both were done"
        )
        jobs = {job.name: job for job in schedule.jobs()}
    assert (jobs["retention"].outcome, jobs["retention"].how_often) == ("done", "every hour")
    assert (jobs["health"].outcome, jobs["health"].how_often) == ("ValueError: no disk", "every 90 seconds")
    daily = jobs["daily summary"]
    assert (daily.last, daily.outcome, daily.how_often) == (None, "", f"daily at {far}")
    assert daily.next is not None
    assert daily.next.astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M") == far


def test_what_goes_on_is_at_work() -> None:
    go_on = threading.Event()
    schedule = Schedule()
    schedule.every(3600, "backup", go_on.wait, at_once=True)
    with schedule:
        wait_until(lambda: schedule.jobs()[0].outcome == "at work", "it has begun")
        assert schedule.jobs()[0].last is not None
        go_on.set()
        wait_until(lambda: schedule.jobs()[0].outcome == "done", "it is done")


@pytest.mark.parametrize("step", [-7200.0, 56 * 365 * 86400.0])
def test_a_clock_that_is_set_does_not_change_the_pace(step: float) -> None:
    """Two hours back, or from 1970 to now: without a word, a job of every minute would wait for two hours."""
    shift = 0.0
    now = datetime.now(UTC).timestamp()
    schedule = Schedule(monotonic=lambda: 5.0, wall=lambda: now + shift)
    schedule.every(60, "health", lambda: None)
    schedule.daily(0, 1, "daily summary", lambda: None)
    with schedule:
        before = {job.name: job.next for job in schedule.jobs()}
        schedule.turn()
        assert {job.name: job.next for job in schedule.jobs()} == before
        shift = step
        schedule._scheduler.pause()  # it would do at once what is due by the clock that was set
        schedule.turn()
        after = {job.name: job.next for job in schedule.jobs()}
    assert before["health"] is not None
    assert after["health"] == before["health"] + timedelta(seconds=step)
    daily, told = after["daily summary"], datetime.fromtimestamp(now + step, UTC)
    assert daily is not None
    assert told <= daily <= told + timedelta(days=1)


def test_what_was_missed_since_1970_is_made_up_once() -> None:
    """APScheduler asks for the next time until that is to come, and keeps all that it is told."""
    now = datetime(2026, 5, 9, 4, 42, tzinfo=UTC)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for trigger in (every_so_often(60), once_a_day(time(0, 1), lambda: ZoneInfo("Europe/Berlin"))):
        times = 0
        moment = epoch
        while moment <= now:
            moment = trigger.get_next_fire_time(moment, now)
            times += 1
        assert times <= 2
    trigger = every_so_often(60)
    assert trigger.get_next_fire_time(None, now) == now + timedelta(seconds=60)
    assert trigger.get_next_fire_time(now, now + timedelta(seconds=0.2)) == now + timedelta(seconds=60)
