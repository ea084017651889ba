from __future__ import annotations

from typing import TYPE_CHECKING

from birdwatchd.store.database import Database
from birdwatchd.store.detections import Choice, find
from birdwatchd.store.recorder import Recorder
from birdwatchd.store.vacuum import vacuum
from tests.rows import candidate, detection

if TYPE_CHECKING:
    from pathlib import Path


def test_room_that_is_not_needed_goes_back_to_the_disk_and_rows_stay(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with Database.open(path) as database:
        recorder = Recorder(database, run_id="run-1")
        recorder.record(detection())
        recorder.trace(candidate(second) for second in range(5000))
        assert recorder.flush()
        with database.transaction() as connection:
            connection.execute("DELETE FROM traces WHERE start_sample > 48000")
        database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        before = path.stat().st_size
        assert vacuum(database) == 0  # so little is not worth the writing
        given = vacuum(database, least_bytes=100_000)
        database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        assert given > before / 2
        assert path.stat().st_size == before - given
        assert vacuum(database, least_bytes=100_000) == 0
        assert database.rows("PRAGMA integrity_check")[0][0] == "ok"
        assert list(find(database, Choice())) == [detection()]
        recorder.record(detection(10))
        assert recorder.pending == 0


def test_a_database_that_was_begun_without_it_is_left_as_it_is(tmp_path: Path) -> None:
    with Database.open(tmp_path / "db") as database:
        database.rows("PRAGMA auto_vacuum = NONE")
        database.rows("VACUUM")
        assert database.rows("PRAGMA auto_vacuum")[0][0] == 0
        recorder = Recorder(database, run_id="run-1")
        recorder.trace(candidate(second) for second in range(2000))
        assert recorder.flush()
        with database.transaction() as connection:
            connection.execute("DELETE FROM traces")
        assert vacuum(database, most_share=0, least_bytes=0) == 0
