from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from birdwatchd.store import seasons, species
from birdwatchd.store.counts import count
from birdwatchd.store.database import Database
from birdwatchd.store.days import Day, heard, newcomers, sources
from tests.rows import BLACKBIRD, COOT, DAWN, GREAT_TIT, detection, write
from tests.unit.store.test_counts import steps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from birdwatchd.domain import Detection

BERLIN = ZoneInfo("Europe/Berlin")
TODAY = Day.of(date(2026, 5, 9), BERLIN)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    rows = [
        detection(0, score=0.8, clip_path="a.flac"),
        detection(3600, score=0.95, clip_path=""),
        detection(3700, score=0.99, clip_path="voice.flac", voice=True),
        detection(7200, source="wood"),
        detection(60, BLACKBIRD, score=0.9),
        detection(-30 * 86_400, BLACKBIRD),
        detection(-365 * 86_400, COOT, source="pond"),
        detection(-300, COOT),
    ]
    with Database.open(write(tmp_path / "db", *rows)) as opened:
        count(opened, BERLIN)
        yield opened


@pytest.mark.parametrize(
    ("day", "zone", "hours", "labels"),
    [
        ("2026-05-09", "Europe/Berlin", 24, {0: "00:00", 23: "23:00"}),
        ("2026-03-29", "Europe/Berlin", 23, {1: "01:00", 2: "03:00"}),
        ("2026-10-25", "Europe/Berlin", 25, {2: "02:00", 3: "02:00", 4: "03:00"}),
        ("2026-05-09", "Asia/Kolkata", 24, {0: "00:00", 23: "23:00"}),
        # Clocks skip midnight there.
        ("2026-09-06", "America/Santiago", 23, {0: "01:00"}),
        ("2026-04-04", "America/Santiago", 25, {23: "23:00", 24: "23:00"}),
        # Half an hour.
        ("2026-04-05", "Australia/Lord_Howe", 25, {1: "01:00", 2: "01:30", 3: "02:00"}),
        ("2026-10-04", "Australia/Lord_Howe", 24, {1: "01:00", 2: "02:30", 3: "03:00"}),
    ],
)
def test_a_day_has_the_hours_that_its_clocks_show(
    day: str, zone: str, hours: int, labels: dict[int, str]
) -> None:
    found = Day.of(date.fromisoformat(day), ZoneInfo(zone))
    assert len(found.hours) == hours
    assert {number: f"{found.hours[number].start:%H:%M}" for number in labels} == labels
    assert found.hours[0].start == found.since
    assert found.hours[-1].end == found.until
    assert all(one.end == other.start for one, other in zip(found.hours, found.hours[1:], strict=False))


def test_species_of_a_day_with_hours_first_last_and_best(database: Database) -> None:
    tit, blackbird, coot = sorted(heard(database, TODAY), key=lambda one: one.label.index)
    assert (tit.label, blackbird.label, coot.label) == (GREAT_TIT, BLACKBIRD, COOT)
    assert tit.detections == 4
    # 04:42 UTC is 6:42 in Berlin.
    assert {hour: n for hour, n in enumerate(tit.hours) if n} == {6: 1, 7: 2, 8: 1}
    assert tit.first == DAWN
    assert tit.last == DAWN + timedelta(seconds=7204.5)
    # The better ones have no sound to be heard.
    assert (tit.best.score, tit.best.clip_path) == (0.8, "a.flac")
    assert blackbird.detections == 1
    assert (blackbird.best.score, blackbird.best.clip_path) == (0.9, "")


def test_one_source_alone(database: Database) -> None:
    (tit,) = heard(database, TODAY, "wood")
    assert tit.detections == 1
    assert heard(database, TODAY, "cellar") == []
    assert sources(database) == ["garden", "pond", "wood"]


def test_a_day_without_anything(database: Database) -> None:
    assert heard(database, Day.of(date(2026, 5, 10), BERLIN)) == []


def at(*moments: datetime) -> list[Detection]:
    return [detection((moment - DAWN).total_seconds()) for moment in moments]


def test_both_of_an_hour_that_is_there_twice(tmp_path: Path) -> None:
    twice = at(*(datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1, 1, 22)))
    twice[2] = detection((twice[2].start - DAWN).total_seconds(), source="wood")
    edges = at(datetime(2026, 10, 24, 21, 59, 59, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC))
    with Database.open(write(tmp_path / "db", *twice, *edges)) as database:
        (one,) = heard(database, Day.of(date(2026, 10, 25), BERLIN))
    assert len(one.hours) == 25
    assert {hour: n for hour, n in enumerate(one.hours) if n} == {2: 1, 3: 2, 24: 1}


def test_half_hours_lie_in_the_hour_of_the_zone(tmp_path: Path) -> None:
    rows = at(*(datetime(2026, 5, 8, 18, minute, tzinfo=UTC) for minute in (29, 30, 59)))
    with Database.open(write(tmp_path / "db", *rows)) as database:
        (one,) = heard(database, Day.of(date(2026, 5, 9), ZoneInfo("Asia/Kolkata")))
    assert one.hours[0] == one.detections == 2


def test_newcomers_of_the_year_and_of_all_times(database: Database) -> None:
    names = [label.scientific_name for label in (GREAT_TIT, BLACKBIRD, COOT)]
    assert newcomers(database, TODAY.day, names) == {"Parus major": "ever", "Fulica atra": "year"}


def test_days_of_a_month(database: Database) -> None:
    assert seasons.days(database, date(2026, 4, 1), date(2026, 5, 31)) == [
        seasons.DayCount(date(2026, 4, 9), 1, 1),
        seasons.DayCount(date(2026, 5, 9), 3, 6),
    ]
    assert seasons.days(database, date(2026, 4, 1), date(2026, 5, 31), "wood") == [
        seasons.DayCount(date(2026, 5, 9), 1, 1)
    ]


def test_a_season_is_a_species_with_its_days(database: Database) -> None:
    found = {one.label: one for one in seasons.seasons(database, date(2026, 1, 1), date(2026, 12, 31))}
    assert found[BLACKBIRD].days == ((date(2026, 4, 9), 1), (date(2026, 5, 9), 1))
    assert found[GREAT_TIT].detections == 4  # of two sources
    assert found[COOT].days == ((date(2026, 5, 9), 1),)
    (only,) = seasons.seasons(database, date(2026, 1, 1), date(2026, 12, 31), "wood")
    assert (only.label, only.detections) == (GREAT_TIT, 1)


def test_the_first_of_each_species_in_a_year(database: Database) -> None:
    tit, coot, blackbird = seasons.firsts(database, 2026, BERLIN)
    assert (tit.label, tit.detection.start, tit.is_first_ever) == (GREAT_TIT, DAWN, True)
    assert (coot.label, coot.is_first_ever, coot.year_before) == (COOT, False, date(2025, 5, 9))
    assert (blackbird.label, blackbird.detection.start) == (BLACKBIRD, DAWN - timedelta(days=30))
    assert [one.label for one in seasons.firsts(database, 2025, BERLIN)] == [COOT]
    assert seasons.firsts(database, 2024, BERLIN) == []
    assert seasons.years(database) == [2026, 2025]


def test_a_year_begins_at_the_zones_midnight(tmp_path: Path) -> None:
    new_year = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    with Database.open(write(tmp_path / "db", *at(new_year))) as database:
        count(database, BERLIN)
        assert [one.detection.start for one in seasons.firsts(database, 2027, BERLIN)] == [new_year]
        assert seasons.firsts(database, 2026, BERLIN) == []
        assert seasons.years(database) == [2027]


def test_a_species_over_all_the_time(database: Database) -> None:
    tit, coot, blackbird = species.totals(database)
    assert (tit.label, tit.detections, tit.first) == (GREAT_TIT, 4, DAWN)
    assert {coot.label, blackbird.label} == {COOT, BLACKBIRD}
    assert species.total(database, "Fulica atra") == coot
    assert coot.last - coot.first == timedelta(days=365, seconds=-300)
    assert species.total(database, "Larus nobody") is None
    assert species.days(database, "Parus major") == [(date(2026, 5, 9), 4)]
    assert species.hours(database, "Parus major") == [(5, 6, 1), (5, 7, 2), (5, 8, 1)]
    # Of two years, in one month.
    assert species.hours(database, "Fulica atra") == [(5, 6, 2)]
    assert [one.score for one in species.best(database, "Parus major", 3)] == [0.99, 0.95, 0.93]
    assert species.best(database, "Parus major", 1)[0].clip_path == ""  # there is a voice in it
    assert [one.source for one in species.newest(database, "Parus major", 2)] == ["wood", "garden"]


def test_an_empty_database_has_empty_answers(tmp_path: Path) -> None:
    with Database.open(write(tmp_path / "db")) as database:
        count(database, BERLIN)
        answers: list[Sequence[object]] = [
            heard(database, TODAY),
            seasons.seasons(database, date.min, date.max),
        ]
        answers += [seasons.firsts(database, 2026, BERLIN), seasons.years(database)]
        answers += [species.totals(database), sources(database)]
    assert not any(answers)


YEAR = (date(2026, 1, 1), date(2026, 12, 31))
QUESTIONS: dict[str, Callable[[Database], object]] = {
    "heard": lambda database: heard(database, TODAY),
    "heard by one source": lambda database: heard(database, TODAY, "wood"),
    "newcomers": lambda database: newcomers(database, TODAY.day, ["Parus major"]),
    "sources": sources,
    "days": lambda database: seasons.days(database, *YEAR),
    "seasons": lambda database: seasons.seasons(database, *YEAR),
    "firsts": lambda database: seasons.firsts(database, 2026, BERLIN),
    "years": seasons.years,
    "total": lambda database: species.total(database, "Parus major"),
    "totals": species.totals,
    "days of a species": lambda database: species.days(database, "Parus major"),
    "hours of a species": lambda database: species.hours(database, "Parus major"),
    "best": lambda database: species.best(database, "Parus major", 5),
    "newest": lambda database: species.newest(database, "Parus major", 5),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_answer_walks_through_a_million_rows(database: Database, question: str) -> None:
    steps = steps_of(database, lambda: QUESTIONS[question](database))
    assert any("USING" in step for step in steps), steps
    # Of detections only what is asked for, by an index; of the counts, which are few, all at most for all totals.
    assert not [step for step in steps if step.startswith("SCAN detections")], steps
    if question != "totals":
        assert not [step for step in steps if step.startswith("SCAN heard_")], steps
    # What has to be sorted is a day at most, or the counts of one species.
    if question not in ("heard", "heard by one source", "hours of a species"):
        assert not [step for step in steps if "TEMP B-TREE" in step and "DISTINCT" not in step], steps
