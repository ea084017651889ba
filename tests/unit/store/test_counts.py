from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from operator import itemgetter
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from birdwatchd.store import counts, dating, detections, opening, reviews
from birdwatchd.store.cells import to_text
from birdwatchd.store.counts import Counting, count, is_counted, offsets
from birdwatchd.store.database import Database
from birdwatchd.store.schema import STEPS
from tests.rows import BLACKBIRD, COOT, DAWN, GREAT_TIT, detection, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import tzinfo
    from pathlib import Path

    from birdwatchd.domain import Detection

BERLIN, KOLKATA, CHATHAM = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata"), ZoneInfo("Pacific/Chatham")
LORD_HOWE, SANTIAGO = ZoneInfo("Australia/Lord_Howe"), ZoneInfo("America/Santiago")
ZONES = (UTC, BERLIN, KOLKATA, CHATHAM, LORD_HOWE, SANTIAGO)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(write(tmp_path / "db")) as opened:
        yield opened


def put(database: Database, *rows: Detection) -> None:
    with database.transaction() as connection:
        detections.write(connection, map(detections.to_row, rows))


def expected(rows: Iterable[Detection], zone: tzinfo) -> tuple[Counter[object], Counter[object]]:
    days, hours = Counter[object](), Counter[object]()
    for row in rows:
        local = row.start.astimezone(zone)
        days[local.date().isoformat(), row.label.scientific_name, row.source] += 1
        hours[row.label.scientific_name, f"{local:%Y-%m}", local.hour, row.source] += 1
    return days, hours


def found(database: Database) -> tuple[Counter[object], Counter[object]]:
    return (
        Counter({tuple(row)[:3]: row["detections"] for row in database.rows("SELECT * FROM heard_days")}),
        Counter({tuple(row)[:4]: row["detections"] for row in database.rows("SELECT * FROM heard_hours")}),
    )


def all_over_the_year(number: int, seed: int) -> list[Detection]:
    """Many of them in the hours around a midnight or a change of clocks, which come on Sundays."""
    chance = random.Random(seed)
    rows = []
    for _ in range(number):
        day = datetime(2026, 3, 29, tzinfo=UTC) + timedelta(days=7 * chance.randrange(52))
        start = day + timedelta(
            seconds=chance.randrange(-43_200, 43_200) + chance.choice([0, 0.25, 0.9999999])
        )
        label = chance.choice([GREAT_TIT, BLACKBIRD, COOT])
        source = chance.choice(["garden", "wood"])
        rows.append(
            detection(
                (start - DAWN).total_seconds(), label, source=source, id=f"{chance.getrandbits(80):020x}"
            )
        )
    return rows


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_days_and_hours_are_those_of_the_zone_also_when_clocks_change(
    database: Database, zone: tzinfo
) -> None:
    before, after = all_over_the_year(150, 1), all_over_the_year(150, 2)
    put(database, *before)  # counted by `count`
    assert count(database, zone)
    assert found(database) == expected(before, zone)
    put(database, *after)  # counted by the triggers
    assert found(database) == expected([*before, *after], zone)


def test_the_hour_that_is_there_twice_is_one_hour_of_the_day(database: Database) -> None:
    count(database, BERLIN)
    twice = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1)]
    put(database, *(detection((at - DAWN).total_seconds()) for at in twice))
    _, hours = found(database)
    assert hours == {("Parus major", "2026-10", 2, "garden"): 2}


def test_the_last_moment_of_a_day_is_not_rounded_into_the_next(database: Database) -> None:
    count(database, BERLIN)
    last = datetime(2026, 5, 9, 21, 59, 59, 999_999, tzinfo=UTC)
    put(database, detection((last - DAWN).total_seconds(), start=last))
    assert [row["day"] for row in database.rows("SELECT day FROM heard_days")] == ["2026-05-09"]


def test_counts_follow_whatever_becomes_of_the_rows(database: Database) -> None:
    """As when they end, are dated anew, heard again, judged and deleted, in any order."""
    chance = random.Random(7)
    count(database, BERLIN)
    rows = {row.id: row for row in all_over_the_year(60, 3)}
    put(database, *rows.values())
    rejected = set[str]()
    for turn in range(200):
        row = rows[chance.choice(list(rows))]
        what = turn % 5
        if what == 4:
            verdict = chance.choice(reviews.VERDICTS)
            name = "Fulica atra" if verdict == "other" else ""
            reviews.add(database, reviews.Review(row.id, DAWN, verdict, scientific_name=name))
            (rejected.add if verdict in ("wrong", "other") else rejected.discard)(row.id)
            continue
        if what == 0:
            del rows[row.id]
            with database.transaction() as connection:
                connection.execute("DELETE FROM detections WHERE id = ?", (row.id,))
            continue
        if what == 1:
            moved = row.start + timedelta(seconds=chance.choice([3600, 86_400, -40 * 86_400, 0.5]))
            rows[row.id] = row = replace(
                row, start=moved, end=moved + timedelta(seconds=3), dating="corrected"
            )
            with database.transaction() as connection:
                dating._rewrite(connection, row)
            continue
        if what == 2:
            row = replace(
                row, label=chance.choice([GREAT_TIT, COOT]), source=chance.choice(["garden", "wood"])
            )
        else:
            row = replace(row, score=0.99, state="ended")
        rows[row.id] = row
        put(database, row)
    right = [row for row in rows.values() if row.id not in rejected]
    assert 0 < len(right) < len(rows)
    assert found(database) == expected(right, BERLIN)
    assert count(database, KOLKATA)
    assert found(database) == expected(right, KOLKATA)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_verdicts_and_their_detection_may_come_in_any_order(
    database: Database, order: tuple[int, ...]
) -> None:
    """As from a damaged database."""
    count(database, BERLIN)
    later = DAWN + timedelta(minutes=1)
    said = [
        reviews.Review(detection().id, later, "right"),
        reviews.Review(detection().id, DAWN, "wrong"),
    ]
    for what in order:
        with database.transaction() as connection:
            if what == 2:
                detections.write(connection, [detections.to_row(detection())])
            else:
                connection.execute(
                    "INSERT INTO reviews VALUES (?, ?, ?, ?, ?, ?, ?)", reviews.to_row(said[what])
                )
    assert found(database) == expected([detection()], BERLIN)


def test_what_was_judged_by_an_older_version_is_not_counted_any_more(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "STEPS", STEPS[:7])
        path = write(tmp_path / "db")
        with Database.open(path) as database:
            with database.transaction() as connection:
                connection.executemany("INSERT INTO zone_offsets VALUES (?, ?)", offsets(BERLIN))
            put(database, detection(), detection(60), detection(120))
            said: list[tuple[float, reviews.Verdict]] = [(0, "wrong"), (60, "wrong"), (60, "withdrawn")]
            for one, verdict in said:
                reviews.add(database, reviews.Review(detection(one).id, DAWN, verdict))
            assert found(database) == expected([detection(), detection(60), detection(120)], BERLIN)
    with Database.open(path) as database:
        assert found(database) == expected([detection(60), detection(120)], BERLIN)


def test_what_is_not_committed_is_not_counted(database: Database) -> None:
    count(database, BERLIN)

    def write_half() -> None:
        with database.transaction() as connection:
            detections.write(connection, [detections.to_row(detection())])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert found(database) == (Counter(), Counter())


def test_another_zone_counts_anew_and_the_same_does_not(database: Database) -> None:
    rows = all_over_the_year(100, 4)
    put(database, *rows)
    assert not is_counted(database, BERLIN)
    assert count(database, BERLIN)
    assert is_counted(database, BERLIN)
    assert not is_counted(database, KOLKATA)
    assert not count(database, BERLIN)
    assert count(database, KOLKATA)
    assert found(database) == expected(rows, KOLKATA)


def test_a_count_that_was_interrupted_is_begun_again(database: Database) -> None:
    rows = [detection(0), detection(60, BLACKBIRD), detection(120, COOT)]
    put(database, *rows)
    answers = iter([True, False])
    assert not count(database, BERLIN, goes_on=lambda: next(answers))
    assert not is_counted(database, BERLIN)
    put(database, detection(180, COOT))  # meanwhile it is listened
    assert count(database, BERLIN)
    assert found(database) == expected([*rows, detection(180, COOT)], BERLIN)


@pytest.mark.parametrize("seed", range(2))
def test_the_recorder_has_its_turn_after_each_month_and_whatever_it_writes_then_is_counted(
    database: Database, seed: int
) -> None:
    """Written, dated anew, named anew, judged and deleted, in months that were counted, are not yet, or have nothing yet."""
    chance = random.Random(seed)
    rows = {row.id: row for row in all_over_the_year(150, seed + 10)}
    put(database, *rows.values())
    more = iter(all_over_the_year(400, seed + 20))
    rejected = set[str]()
    turns = 0

    def write_something() -> bool:
        nonlocal turns
        turns += 1
        for _ in range(4):
            row = rows[chance.choice(list(rows))]
            what = chance.randrange(4)
            if what == 0:
                new = next(more)
                rows[new.id] = new
                put(database, new)
            elif what == 1:
                moved = row.start + timedelta(days=chance.choice([-200, -31, -1, 1, 31, 200]))
                rows[row.id] = row = replace(
                    row, start=moved, end=moved, label=chance.choice([GREAT_TIT, COOT])
                )
                put(database, row)
            elif what == 2:
                reviews.add(database, reviews.Review(row.id, DAWN + timedelta(seconds=turns), "wrong"))
                rejected.add(row.id)
            else:
                del rows[row.id]
                with database.transaction() as connection:
                    connection.execute("DELETE FROM detections WHERE id = ?", (row.id,))
        return True

    assert count(database, CHATHAM, goes_on=write_something)
    assert turns > 3 * 12
    assert found(database) == expected([row for row in rows.values() if row.id not in rejected], CHATHAM)


@pytest.mark.parametrize(("zone", "month", "day", "hour"), [(SANTIAGO, 6, 1, 0), (KOLKATA, 5, 31, 23)])
def test_a_month_that_is_only_the_stations_own_is_counted(
    database: Database, zone: tzinfo, month: int, day: int, hour: int
) -> None:
    row = detection(start=datetime(2026, month, day, hour, 30, tzinfo=UTC), end=DAWN)
    put(database, row)
    assert count(database, zone)
    assert found(database) == expected([row], zone)


def test_dates_from_the_first_year_to_the_last_are_counted(database: Database) -> None:
    rows = [
        detection(start=datetime(year, month, day, 12, tzinfo=UTC), end=DAWN, id=f"{number:020x}")
        for number, (year, month, day) in enumerate([(1, 1, 1), (1970, 1, 1), (2026, 5, 9), (9999, 12, 31)])
    ]
    put(database, *rows)
    assert count(database, BERLIN)
    assert sorted(row["day"] for row in database.rows("SELECT day FROM heard_days")) == [
        "0001-01-01",
        "1970-01-01",
        "2026-05-09",
        "9999-12-31",
    ]
    assert sum(found(database)[1].values()) == 4


def test_a_database_of_before_is_counted_at_the_first_start(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "STEPS", STEPS[:5])
        path = write(tmp_path / "db", detection(), detection(60))
    with Database.open(path) as database:
        assert found(database) == (Counter(), Counter())
        counting = Counting(database, lambda: BERLIN)
        counting.turn()
        counting.close()
        counting.turn()  # a schedule may ask once more
        assert found(database) == expected([detection(), detection(60)], BERLIN)


def test_a_database_that_was_begun_anew_is_counted_again(tmp_path: Path) -> None:
    path = write(tmp_path / "db", detection(), detection(60))
    with Database.open_or_renew(path) as database:
        counting = Counting(database, lambda: BERLIN)
        counting.turn()
        database.suspect("it says so")
        database.renew()
        assert not is_counted(database, BERLIN)
        counting.turn()
        assert found(database) == expected([detection(), detection(60)], BERLIN)
        counting.close()


def test_a_renewal_during_the_count_is_not_taken_for_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "db", detection())
    with Database.open_or_renew(path) as database:

        def renewed() -> bool:
            database.suspect("it says so")
            database.renew()
            return True

        assert not count(database, BERLIN, goes_on=renewed)
        assert not is_counted(database, BERLIN)
        assert count(database, BERLIN)
        assert found(database) == expected([detection()], BERLIN)


@pytest.mark.parametrize("year", [1, 9999])
def test_a_wild_date_is_kept_and_counted_somewhere(database: Database, year: int) -> None:
    count(database, SANTIAGO if year == 1 else BERLIN)
    start = datetime(year, 1 if year == 1 else 12, 1 if year == 1 else 31, 23, 30, tzinfo=UTC)
    if year == 1:
        start = start.replace(hour=0)
    put(database, detection(start=start, end=start))
    assert len(database.rows("SELECT * FROM detections")) == 1
    assert sum(found(database)[0].values()) == 1


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_offsets_are_those_of_the_zone_in_every_hour(zone: tzinfo) -> None:
    rows = offsets(zone)
    assert rows[0][0] == ""
    assert [since for since, _ in rows] == sorted(since for since, _ in rows)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    while moment < datetime(2027, 1, 1, tzinfo=UTC):
        _, seconds = rows[bisect_right(rows, to_text(moment), key=itemgetter(0)) - 1]
        assert timedelta(seconds=seconds) == moment.astimezone(zone).utcoffset(), moment
        moment += timedelta(hours=1)


def test_offsets_change_at_the_very_second() -> None:
    assert ("2026-03-29T01:00:00.000000Z", 7200) in offsets(BERLIN)
    assert date.fromisoformat(offsets(BERLIN)[1][0][:10]) < date(1991, 1, 1)


def steps_of(database: Database, ask: Callable[[], object]) -> list[str]:
    """What SQLite does for that."""
    statements: list[str] = []
    database._connection.set_trace_callback(statements.append)
    ask()
    database._connection.set_trace_callback(None)
    return [row["detail"] for sql in statements for row in database.rows(f"EXPLAIN QUERY PLAN {sql}")]


def test_counting_reads_each_row_once_by_an_index(database: Database) -> None:
    put(database, detection())
    asked = {"name": "x", "since": "", "until": "~", "month": "2026-05"}
    steps = [
        row["detail"]
        for sql in (counts._COUNT, counts._NEXT, *counts._FORGET)
        for row in database._connection.execute(f"EXPLAIN QUERY PLAN {sql}", asked)
    ]
    wrong = [step for step in steps if step.startswith("SCAN") or "heard_days USING PRIMARY" in step]
    assert [step for step in wrong if "SUBQUERY" not in step] == [], steps
    assert any("scientific_name=? AND start_utc>? AND start_utc<?" in step for step in steps), steps
