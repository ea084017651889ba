from __future__ import annotations

import sqlite3
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from birdwatchd.store import ledger, runs, traces
from birdwatchd.store.database import Database
from birdwatchd.store.detections import Choice, find
from birdwatchd.store.recorder import Recorder
from tests.rows import BLACKBIRD, DAWN, Clock, candidate, capture_log, detection, entry, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from birdwatchd.domain import Detection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with Database.open(path) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(database: Database, clock: Clock) -> Recorder:
    return Recorder(database, run_id="run-1", flush_rows=40, keep=50, monotonic=clock, wall=clock.wall)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    return capture_log(monkeypatch)


def on_disk(path: Path) -> list[Detection]:
    """What another process would see."""
    with Database.open(path, read_only=True) as reader:
        return list(find(reader, Choice()))


def count(path: Path, table: str) -> int:
    with Database.open(path, read_only=True) as reader:
        return int(reader.rows(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - a table's name


def fill_the_disk(database: Database) -> None:
    """No more pages than there are: SQLite then answers as on a full disk."""
    database.rows("PRAGMA max_page_count = 1")


def free_the_disk(database: Database) -> None:
    database.rows("PRAGMA max_page_count = 1000000")


def many(first: int, last: int) -> list[Detection]:
    """Detections that need pages of their own."""
    return [detection(second, clip_path="x" * 6000) for second in range(first, last)]


def test_a_detection_is_there_for_others_when_record_returns(path: Path, recorder: Recorder) -> None:
    recorder.record(detection())
    assert on_disk(path) == [detection()]
    assert recorder.pending == 0


def test_start_and_end_are_one_row(path: Path, recorder: Recorder) -> None:
    started = detection(seconds=3, state="started", id="a")
    ended = detection(seconds=9, score=0.97, id="a")
    recorder.record(started)
    assert on_disk(path) == [started]
    recorder.record(ended)
    assert on_disk(path) == [ended]


def test_a_replay_makes_the_same_row(path: Path, database: Database) -> None:
    for run_id in ("run-1", "run-2"):
        Recorder(database, run_id=run_id).record(detection(run_id=run_id))
    assert on_disk(path) == [detection(run_id="run-2")]


def test_numbers_may_be_those_of_numpy(path: Path, recorder: Recorder) -> None:
    recorder.record(
        detection(score=np.float32(0.5), start_sample=np.int64(5), windows=np.int32(2), voice=np.bool_(True))
    )
    (found,) = on_disk(path)
    assert (found.score, found.start_sample, found.windows, found.voice) == (0.5, 5, 2, True)


def test_a_detection_without_range_model_or_code_comes_back_so(path: Path, recorder: Recorder) -> None:
    recorder.record(detection(occurrence=None, site="Wald \U0001f332"))
    assert on_disk(path) == [detection(occurrence=None, site="Wald \U0001f332")]


def test_the_detection_of_another_run_is_a_mistake(recorder: Recorder) -> None:
    with pytest.raises(ValueError, match="run-2"):
        recorder.record(detection(run_id="run-2"))


def test_a_score_that_is_no_number_is_refused_and_nothing_stays_behind(
    path: Path, recorder: Recorder
) -> None:
    with pytest.raises(ValueError, match="nan"):
        recorder.record(detection(score=float("nan")))
    recorder.record(detection(5))
    assert on_disk(path) == [detection(5)]


def test_traces_and_ledger_wait_for_half_a_minute(path: Path, recorder: Recorder, clock: Clock) -> None:
    recorder.trace([candidate(0), candidate(0, BLACKBIRD)])
    recorder.account([entry(1.5), entry(2.5)])
    clock.seconds = 29.9
    recorder.account([entry(1.0)])
    assert (count(path, "traces"), count(path, "ledger")) == (0, 0)
    clock.seconds = 30.0
    recorder.account([entry(1.0)])
    assert (count(path, "traces"), count(path, "ledger")) == (2, 1)


def test_many_traces_do_not_wait(path: Path, recorder: Recorder) -> None:
    recorder.trace([candidate(second) for second in range(39)])
    assert count(path, "traces") == 0
    recorder.trace([candidate(39)])
    assert count(path, "traces") == 40


def test_a_detection_takes_along_what_waits(path: Path, recorder: Recorder) -> None:
    recorder.trace([candidate()])
    recorder.account([entry(1.5)])
    recorder.record(detection())
    assert (count(path, "traces"), count(path, "ledger")) == (1, 1)


def test_seconds_add_up_over_flushes_and_runs(path: Path, database: Database, recorder: Recorder) -> None:
    recorder.account([entry(1.5), entry(2.0, "lost", "gone"), entry(0.5)])
    recorder.flush()
    recorder.account([entry(1.0), entry(-0.5, "lost", "gone"), entry(4.0, hours=1)])
    recorder.close()
    other = Recorder(database, run_id="run-2")
    other.account([entry(7.0)])
    other.close()
    with Database.open(path, read_only=True) as reader:
        assert ledger.between(reader) == [entry(10.0), entry(1.5, "lost", "gone"), entry(4.0, hours=1)]


def test_how_far_a_source_is_accounted_for_outlives_the_run(database: Database, recorder: Recorder) -> None:
    assert ledger.standing(database) == {}
    recorder.account([entry(1.5, "expected", until=DAWN), entry(1.5)])
    recorder.flush()
    assert ledger.standing(database) == {"garden": (DAWN, "died")}
    recorder.account([entry(2.5, "expected", until=DAWN + timedelta(seconds=2.5))])
    recorder.close()
    assert ledger.standing(database) == {"garden": (DAWN + timedelta(seconds=2.5), "stopped")}


def test_a_candidate_comes_back_whole_and_once(path: Path, recorder: Recorder) -> None:
    passed = candidate(0, gate="detection", reason="")
    recorder.trace([candidate(0), candidate(0, source="wood", site="W"), candidate(1.5)])
    recorder.flush()
    recorder.trace([passed])
    recorder.close()
    with Database.open(path, read_only=True) as reader:
        found = traces.between(reader, DAWN, DAWN + timedelta(seconds=1))
    assert found == [passed, candidate(0, source="wood", site="W")]


def season(recorder: Recorder, clock: Clock) -> None:
    """It was there for a day, by this clock."""
    now = clock.seconds
    for hour in range(24):
        clock.seconds = now - hour * 3600
        recorder.flush()
    clock.seconds = now


def test_traces_are_deleted_a_week_after_they_were_written(
    path: Path, recorder: Recorder, clock: Clock
) -> None:
    season(recorder, clock)
    recorder.trace([candidate(-1e8), candidate(0)])  # an old recording, heard today
    recorder.flush()
    clock.seconds = 86400
    recorder.trace([candidate(86400)])
    recorder.flush()
    clock.seconds = 7 * 86400
    recorder.flush()
    assert count(path, "traces") == 3
    clock.seconds += 1
    recorder.flush()
    assert count(path, "traces") == 1


def test_the_pruning_of_a_long_time_is_spread(path: Path, database: Database, clock: Clock) -> None:
    recorder = Recorder(database, run_id="run-1", flush_rows=10000, monotonic=clock, wall=clock.wall)
    season(recorder, clock)
    recorder.trace([candidate(second) for second in range(2500)])
    recorder.flush()
    clock.seconds = 8 * 86400
    left = []
    for _ in range(3):
        recorder.flush()
        left.append(count(path, "traces"))
    assert left == [1500, 500, 0]


def test_a_clock_that_jumps_a_year_ahead_deletes_no_traces(
    path: Path, recorder: Recorder, clock: Clock
) -> None:
    season(recorder, clock)
    recorder.trace([candidate(0)])
    recorder.flush()
    for hours in range(24):
        clock.seconds = 366 * 86400 + hours * 3600
        recorder.flush()
        assert count(path, "traces") == 1
    recorder.flush()  # by that clock it was there for a day
    assert count(path, "traces") == 0


def test_a_full_disk_loses_nothing_and_is_said_once(
    path: Path, database: Database, recorder: Recorder, clock: Clock, log: list[Any]
) -> None:
    recorder.record(detection(0))
    fill_the_disk(database)
    for one in many(1, 20):
        recorder.record(one)
    recorder.trace([candidate()])
    recorder.account([entry(3.0)])
    assert recorder.pending == 19
    assert "full; free some space" in recorder.fault
    assert not recorder.flush()
    assert on_disk(path) == [detection(0)]
    assert [line["event"] for line in log] == ["database cannot be written, detections are kept in memory"]

    free_the_disk(database)
    clock.seconds = 30
    recorder.account([entry(1.0)])
    assert recorder.pending == 0
    assert recorder.fault == ""
    assert on_disk(path) == [detection(0), *many(1, 20)]
    with Database.open(path, read_only=True) as reader:
        assert ledger.between(reader) == [entry(4.0)]
    assert [(line["event"], line["detections"]) for line in log[1:]] == [("database is written again", 19)]


def test_what_waited_is_written_in_its_order(path: Path, database: Database, recorder: Recorder) -> None:
    fill_the_disk(database)
    big = "x" * 5000
    recorder.record(detection(id="a", state="started", clip_path=big))
    recorder.record(detection(id="b", state="ended", clip_path=big))
    recorder.record(detection(id="a", state="ended", clip_path=big))
    assert recorder.pending == 3
    free_the_disk(database)
    assert recorder.flush()
    with Database.open(path, read_only=True) as reader:
        rows = [tuple(row) for row in reader.rows("SELECT id, state FROM detections ORDER BY rowid")]
    assert rows == [("a", "ended"), ("b", "ended")]


def test_a_disk_in_trouble_is_not_asked_at_every_detection(
    database: Database, recorder: Recorder, clock: Clock
) -> None:
    fill_the_disk(database)
    recorder.record(many(0, 1)[0])
    free_the_disk(database)
    recorder.record(detection(1))
    assert recorder.pending == 2
    clock.seconds = 30
    recorder.record(detection(2))
    assert recorder.pending == 0


def test_memory_is_bounded_and_the_newest_stay(
    path: Path, database: Database, recorder: Recorder, log: list[Any]
) -> None:
    fill_the_disk(database)
    for one in many(0, 60):
        recorder.record(one)
    recorder.trace([candidate(second) for second in range(60)])
    assert recorder.pending == 50
    free_the_disk(database)
    assert recorder.close()
    assert on_disk(path) == many(10, 60)
    assert count(path, "traces") == 50
    assert [line["event"] for line in log] == [
        "database cannot be written, detections are kept in memory",
        "memory for unwritten detections is full, the oldest are dropped",
        "database is written again",
    ]
    assert log[-1]["dropped"] == 10


def test_a_thousand_that_waited_are_written_in_chunks(path: Path, database: Database) -> None:
    recorder = Recorder(database, run_id="run-1")
    fill_the_disk(database)
    for one in many(0, 1300):
        recorder.record(one)
    free_the_disk(database)
    assert recorder.flush()
    assert on_disk(path) == many(0, 1300)


def test_another_program_that_writes_for_long_is_waited_out(
    path: Path, database: Database, recorder: Recorder
) -> None:
    database.rows("PRAGMA busy_timeout = 1")
    shell = sqlite3.connect(path, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    recorder.record(detection())
    assert recorder.pending == 1
    assert "another program" in recorder.fault
    shell.execute("ROLLBACK")
    shell.close()
    assert recorder.flush()
    assert on_disk(path) == [detection()]


def test_closing_says_when_something_is_lost_and_what(
    database: Database, recorder: Recorder, log: list[Any]
) -> None:
    fill_the_disk(database)
    recorder.record(many(0, 1)[0])
    assert not recorder.close()
    assert [line["scientific_name"] for line in log if line["event"] == "detection lost"] == ["Parus major"]


def test_a_run_is_written_down_from_start_to_end(path: Path, database: Database, clock: Clock) -> None:
    recorder = Recorder(
        database,
        run_id="run-1",
        version="0.1",
        model="tiny",
        node="pi",
        config_hash="abc",
        monotonic=clock,
        wall=clock.wall,
    )
    clock.seconds = 40
    recorder.account([entry(1.0)])
    with Database.open(path, read_only=True) as reader:
        alive = runs.before(reader, clock.wall())
    assert alive is not None
    assert (alive.started, alive.seen, alive.ended) == (DAWN, DAWN + timedelta(seconds=40), None)
    clock.seconds = 50
    recorder.close()
    with Database.open(path, read_only=True) as reader:
        assert runs.before(reader, clock.wall()) == runs.Run(
            "run-1", DAWN, clock.wall(), clock.wall(), "0.1", "tiny", "pi", "abc"
        )


def test_another_thread_may_close(path: Path, recorder: Recorder) -> None:
    recorder.trace([candidate()])
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(recorder.close()))
    thread.start()
    thread.join()
    assert answers == [True]
    assert count(path, "traces") == 1


def test_what_a_dead_run_left_going_on_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = capture_log(monkeypatch)
    path = write(tmp_path / "db", detection(0, state="started"), detection(60))
    with Database.open(path) as database:
        Recorder(database, run_id="run-2")
        found = list(find(database, Choice()))
    assert found == [detection(0), detection(60)]
    assert [line["detections"] for line in log if "left going on" in line["event"]] == [1]


def test_a_run_that_failed_did_not_end_in_order(database: Database, recorder: Recorder) -> None:
    recorder.account([entry(5.0, "expected", until=DAWN)])
    assert recorder.close(in_order=False)
    assert ledger.standing(database) == {"garden": (DAWN, "died")}


def test_what_is_recorded_together_is_written_together(database: Database, recorder: Recorder) -> None:
    before = database.rows("SELECT count(*) AS n FROM detections")[0]["n"]
    commits: list[int] = []
    original = database.transaction

    def counted() -> AbstractContextManager[sqlite3.Connection]:
        commits.append(1)
        return original()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "transaction", counted)
        recorder.record(*many(0, 20))
    assert database.rows("SELECT count(*) AS n FROM detections")[0]["n"] == before + 20
    assert len(commits) == 1
