"""The store with its processes killed, its disk filled up, and its files taken away. Real parts all of them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from birdwatchd.errors import StoreError
from birdwatchd.store.database import Database
from birdwatchd.store.detections import Choice, find
from birdwatchd.store.recorder import Recorder
from tests.faults.disks import fill, needs_root, small_disk
from tests.rows import capture_log, detection, entry, write

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITER = """
import sys
from pathlib import Path
from birdwatchd.store.database import Database
from birdwatchd.store.recorder import Recorder
from tests.faults.disks import fill, needs_root, small_disk
from tests.rows import detection

path, run = Path(sys.argv[1]), sys.argv[2]
number = int(run) * 100_000
with Database.open(path) as database:
    recorder = Recorder(database, run_id=run)
    while True:
        number += 1
        recorder.record(detection(number, run_id=run))
        print("acknowledged", number, flush=True)
"""

ACKNOWLEDGED = "acknowledged "


@contextmanager
def writer(path: Path, run: int) -> Iterator[subprocess.Popen[str]]:
    """A process that writes without end, and has begun to; killed when the block is left."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path, str(run)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    with process:
        try:
            assert process.stdout is not None
            while not process.stdout.readline().startswith(ACKNOWLEDGED):
                assert process.poll() is None
            yield process
        finally:
            process.kill()


@needs_root
def test_a_full_disk_is_survived_and_made_up_for_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = capture_log(monkeypatch)
    rows = [detection(second, clip_path="x" * 3000) for second in range(60)]
    with small_disk(tmp_path / "disk") as disk:
        path = disk / "db"
        with Database.open(path) as database:
            recorder = Recorder(database, run_id="run-1")
            for row in rows[:10]:
                recorder.record(row)
            ballast = fill(disk)
            for row in rows[10:]:
                recorder.record(row)
                recorder.account([entry(1.0)])
            kept = recorder.pending
            assert kept > 40
            with Database.open(
                path, read_only=True
            ) as reader:  # it can still be read, and nothing in it is half
                assert list(find(reader, Choice())) == rows[: len(rows) - kept]
            ballast.unlink()
            assert recorder.flush()
            assert recorder.close()
            assert database.rows("PRAGMA integrity_check")[0][0] == "ok"
            assert list(find(database, Choice())) == rows
            assert database.rows("SELECT seconds FROM ledger")[0][0] == 50
            written = [row["id"] for row in database.rows("SELECT id FROM detections ORDER BY rowid")]
            assert written == [row.id for row in rows]
    said = [line["event"] for line in log if line["log_level"] in ("error", "warning")]
    assert said == ["database cannot be written, detections are kept in memory", "database is written again"]
    assert "is full; free some space" in next(line["reason"] for line in log if "reason" in line)


@needs_root
def test_a_disk_that_is_full_from_the_start_is_said_in_a_sentence(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        fill(disk)
        with pytest.raises(StoreError, match="is full; free some space"):
            Database.open(disk / "db")


@needs_root
def test_a_read_only_disk_is_refused_for_writing_and_read_all_the_same(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        path = write(disk / "db", detection())
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(StoreError, match=r"Read-only file system\); check that you may write"):
            Database.open(path)
        with Database.open(path, read_only=True) as database:
            assert list(find(database, Choice())) == [detection()]


@needs_root
def test_another_user_reads_what_he_may_not_write() -> None:
    code = """
import os, sys
from pathlib import Path
from birdwatchd.store.database import Database
from birdwatchd.store.detections import Choice, find
from birdwatchd.store.recorder import Recorder
from birdwatchd.errors import StoreError
os.setgid(65534); os.setuid(65534)
with Database.open(Path(sys.argv[1]), read_only=True) as database:
    print(len(list(find(database, Choice()))))
try:
    Database.open(Path(sys.argv[1]))
except StoreError as error:
    print(error)
"""

    # Not in tmp_path, which nobody else may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = write(folder / "db", detection())

        def read() -> list[str]:
            done = subprocess.run(
                [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
            )
            return done.stdout.splitlines()

        before = sorted(folder.iterdir())
        count, refusal = read()
        assert count == "1"
        assert "cannot be made (Permission denied); check that you may write" in refusal
        assert sorted(folder.iterdir()) == before
        with Database.open(path) as database:  # and while the daemon has it open
            recorder = Recorder(database, run_id="run-2")
            recorder.record(detection(20, run_id="run-2"))
            assert read()[0] == "2"


def test_two_daemons_do_not_share_a_database(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with (
        writer(path, 1) as first,
        pytest.raises(StoreError, match=rf"another birdwatchd \(process {first.pid}\) is writing to"),
    ):
        Database.open(path)
    # The lock dies with its owner, however that ended.
    Database.open(path).close()


def test_a_log_that_was_left_behind_is_taken_up(tmp_path: Path) -> None:
    """What a power cut leaves: the database, and beside it the log that was not folded in yet."""
    with Database.open(tmp_path / "db") as database:
        recorder = Recorder(database, run_id="run-1")
        recorder.record(detection())
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("db", "db-wal"):
            (copy / name).write_bytes((tmp_path / name).read_bytes())
    with sqlite3.connect(f"file:{copy / 'db'}?immutable=1", uri=True) as bare:
        assert bare.execute("SELECT count(*) FROM sqlite_master WHERE name = 'detections'").fetchone()[0] == 0
    bare.close()
    with Database.open(copy / "db") as database:
        assert list(find(database, Choice())) == [detection()]


def test_a_log_torn_in_the_middle_gives_what_was_whole_before(tmp_path: Path) -> None:
    """A disk that lied about its last blocks: what is left is a former state, never half of one."""
    with Database.open(tmp_path / "db") as database:
        recorder = Recorder(database, run_id="run-1")
        for second in range(20):
            recorder.record(detection(second))
        base, log = (tmp_path / "db").read_bytes(), (tmp_path / "db-wal").read_bytes()
    copy = tmp_path / "copy"
    copy.mkdir()
    for share in (0.3, 0.6, 0.9, 0.999):
        (copy / "db").write_bytes(base)
        (copy / "db-wal").write_bytes(log[: int(len(log) * share)])
        (copy / "db-shm").unlink(missing_ok=True)
        with Database.open(copy / "db") as database:
            found = list(find(database, Choice()))
            assert found == [detection(second) for second in range(len(found))]
            assert database.rows("PRAGMA integrity_check")[0][0] == "ok"
