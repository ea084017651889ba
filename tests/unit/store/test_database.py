from __future__ import annotations

import hashlib
import os
import random
import sqlite3
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from birdwatchd.errors import StoreError
from birdwatchd.store import opening as module
from birdwatchd.store.database import Database
from birdwatchd.store.detections import Choice, find
from birdwatchd.store.recorder import Recorder
from birdwatchd.store.schema import APPLICATION_ID, STEPS
from tests.rows import detection, write

if TYPE_CHECKING:
    from pathlib import Path


def one(database: Database, sql: str) -> object:
    return database.rows(sql)[0][0]


def test_a_new_database_is_made_with_its_folders_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there" / "yet.sqlite"
    write(path, detection())
    with Database.open(path, read_only=True) as database:
        assert list(find(database, Choice())) == [detection()]


def test_what_a_writer_is_told_is_on_the_disk(tmp_path: Path) -> None:
    with Database.open(tmp_path / "db") as database:
        assert one(database, "PRAGMA journal_mode") == "wal"
        assert one(database, "PRAGMA synchronous") == 2
        assert one(database, "PRAGMA foreign_keys") == 1
        assert one(database, "PRAGMA application_id") == APPLICATION_ID
        assert one(database, "PRAGMA user_version") == len(STEPS)


def test_every_table_is_strict(tmp_path: Path) -> None:
    with Database.open(tmp_path / "db") as database:
        tables = {
            row["name"]: row["strict"]
            for row in database.rows("PRAGMA table_list")
            if row["name"][:7] != "sqlite_"
        }
    assert tables
    assert all(tables.values()), tables


def test_steps_that_are_missing_are_made_up_for_and_rows_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "db", detection())
    monkeypatch.setattr(
        module,
        "STEPS",
        (*STEPS, ("CREATE TABLE more (x TEXT) STRICT",), ("INSERT INTO more VALUES ('new')",)),
    )
    with capture_logs() as logs, Database.open(path) as database:
        assert one(database, "SELECT x FROM more") == "new"
        assert one(database, "PRAGMA user_version") == len(STEPS) + 2
        assert len(list(find(database, Choice()))) == 1
    assert [(line["event"], line["format"]) for line in logs] == [
        ("database brought up to date", len(STEPS) + 2)
    ]


def test_of_a_new_database_and_one_that_is_up_to_date_nothing_is_said(tmp_path: Path) -> None:
    for _ in range(2):
        with capture_logs() as logs, Database.open(tmp_path / "db"):
            pass
        assert logs == []


def test_a_step_that_fails_leaves_no_trace_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "db", detection())
    with monkeypatch.context() as patch:
        patch.setattr(
            module, "STEPS", (*STEPS, ("CREATE TABLE half (x TEXT) STRICT", "INSERT INTO nowhere VALUES (1)"))
        )
        with pytest.raises(StoreError, match="nowhere"):
            Database.open(path)
    with Database.open(path) as database:
        assert one(database, "PRAGMA user_version") == len(STEPS)
        assert database.rows("SELECT name FROM sqlite_master WHERE name = 'half'") == []


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_database_is_refused_and_left_as_it_is(tmp_path: Path, *, read_only: bool) -> None:
    path = write(tmp_path / "db")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(
        StoreError, match=rf"newer birdwatchd \(format 99, this one knows {len(STEPS)}\); install"
    ):
        Database.open(path, read_only=read_only)
    assert path.read_bytes() == before


def test_an_older_database_is_not_changed_by_a_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "db")
    monkeypatch.setattr(module, "STEPS", (*STEPS, ("CREATE TABLE more (x TEXT) STRICT",)))
    with pytest.raises(StoreError, match="birdwatchd run"):
        Database.open(path, read_only=True)


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("content", [b"no database, only some text\n", random.Random(1).randbytes(5000)])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    tmp_path: Path, content: bytes, *, read_only: bool
) -> None:
    path = tmp_path / "db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is not a birdwatchd database"):
        Database.open(path, read_only=read_only)
    assert path.read_bytes() == content


@pytest.mark.parametrize("read_only", [True, False])
def test_the_database_of_another_program_is_refused(tmp_path: Path, *, read_only: bool) -> None:
    path = tmp_path / "db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    connection.close()
    with pytest.raises(StoreError, match="another program"):
        Database.open(path, read_only=read_only)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_folder_is_refused(tmp_path: Path, *, read_only: bool) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        Database.open(tmp_path, read_only=read_only)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file for the database cannot be made"):
        Database.open(tmp_path / "file" / "db")


def test_a_reader_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no database at .*birdwatchd run"):
        Database.open(tmp_path / "db", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "db", detection())
    before = hashlib.sha256(path.read_bytes()).digest()
    with Database.open(path, read_only=True) as database:
        list(find(database, Choice()))
        with pytest.raises(sqlite3.OperationalError, match="readonly"), database.transaction() as connection:
            connection.execute("DELETE FROM detections")
    assert hashlib.sha256(path.read_bytes()).digest() == before


def test_a_reader_that_has_begun_does_not_hold_up_the_writer(tmp_path: Path) -> None:
    path = write(tmp_path / "db", detection(0), detection(10))
    with Database.open(path, read_only=True) as reader, Database.open(path) as database:
        rows = reader.each("SELECT * FROM detections")
        next(rows)
        recorder = Recorder(database, run_id="run-2")
        recorder.record(detection(20, run_id="run-2"))
        assert recorder.pending == 0
        assert len(list(rows)) == 1  # the reader sees what was there when it began
        assert len(reader.rows("SELECT id FROM detections")) == 3


def test_a_second_writer_is_refused_by_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with Database.open(path):
        code = "import sys; from pathlib import Path; from birdwatchd.store.database import Database; "
        code += "Database.open(Path(sys.argv[1]))"
        second = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
        )
        assert (
            f"StoreError: another birdwatchd (process {os.getpid()}) is writing to {path}; stop it"
            in second.stderr
        )
    Database.open(path).close()


def test_a_link_to_the_database_has_the_same_lock(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "db")
    with Database.open(tmp_path / "db"), pytest.raises(StoreError, match="another birdwatchd"):
        Database.open(tmp_path / "link")


def test_a_refused_file_is_not_kept_locked(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_text("text")
    for _ in range(2):
        with pytest.raises(StoreError, match="not a birdwatchd database"):
            Database.open(path)


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "db")
    database.close()
    database.close()


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    with Database.open(tmp_path / "db") as database:
        with pytest.raises(sqlite3.IntegrityError), database.transaction() as connection:
            connection.executemany("INSERT INTO ledger VALUES ('h', 's', 'lost', '', ?)", [(1.0,), (2.0,)])
        assert database.rows("SELECT * FROM ledger") == []


def test_two_connections_take_turns_at_writing(tmp_path: Path) -> None:
    with Database.open(tmp_path / "db") as database, database.second() as second:
        began = threading.Event()

        def write() -> None:
            began.set()
            with second.transaction() as connection:
                connection.execute("INSERT INTO ledger VALUES ('h', 's', 'lost', 'second', 1)")

        writer = threading.Thread(target=write)
        with database.transaction() as connection:
            writer.start()
            assert began.wait(60)
            writer.join(0.05)
            assert writer.is_alive()
            connection.execute("INSERT INTO ledger VALUES ('h', 's', 'lost', 'first', 1)")
        writer.join(60)
        causes = [row["cause"] for row in second.rows("SELECT cause FROM ledger")]
        assert sorted(causes) == ["first", "second"]


def test_a_short_writing_beside_the_daemon_needs_a_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        Database.open_beside(tmp_path / "db")
    with Database.open(tmp_path / "db"), Database.open_beside(tmp_path / "db") as beside:
        with beside.transaction() as connection:
            connection.execute("INSERT INTO ledger VALUES ('h', 's', 'lost', '', 1)")
        assert len(beside.rows("SELECT * FROM ledger")) == 1


def test_a_damaged_database_is_said_in_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "db", *(detection(second) for second in range(200)))
    content, chance = bytearray(path.read_bytes()), random.Random(1)
    for page in range(4096, len(content), 4096):
        content[page : page + 64] = chance.randbytes(64)
    path.write_bytes(content)
    with (
        pytest.raises(StoreError, match=r"is damaged; `birdwatchd run` moves it aside"),
        Database.open(path, read_only=True) as database,
    ):
        list(find(database, Choice()))
