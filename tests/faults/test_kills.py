"""`kill -9` at any moment: nothing is lost that was acknowledged, and nothing half lies about afterwards."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import soundfile

from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Choice as Anything
from birdwatchd.store.deliveries import find as find_deliveries
from birdwatchd.store.detections import Choice, find
from tests.faults.dying import FRAMES
from tests.rows import detection

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("BIRDWATCHD_SEED", "1"))
LONGEST_SECONDS = 0.5
"""Of a life, from its first commit on for one half of them. Others die before they have opened the database."""


class Station:
    """Lives one after another in the same folder."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        self.folder = folder
        self.acknowledged: set[str] = set()
        self._process = process

    def live(self, name: str, seconds: float | None = None, *, after_first: bool = False) -> int:
        """A life that is killed after so many seconds (from its first commit on), or not; how it ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        pid = int(self._hear("alive "))
        if seconds is not None:
            if after_first:
                self._hear("recorded ")
            time.sleep(seconds)
            with suppress(ProcessLookupError):  # what it is dead of is said below
                os.kill(pid, signal.SIGKILL)
        return int(self._hear("dead "))

    def _hear(self, word: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("recorded "):
                self.acknowledged.add(line.removeprefix("recorded ").strip())
            if line.startswith(word):
                return line.removeprefix(word).strip()
        raise AssertionError(f"the station ended without a word of {word!r}")


@contextmanager
def station(folder: Path) -> Iterator[Station]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.dying", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            yield Station(folder, process)
        finally:
            process.kill()


def kill_at_random_moments(folder: Path, times: int) -> None:
    moments = random.Random(SEED)
    print(f"seed {SEED} (BIRDWATCHD_SEED gives another)")  # noqa: T201 - pytest shows it when the test fails
    with station(folder) as it:
        for life in range(1, times + 1):
            seconds = moments.uniform(0, LONGEST_SECONDS)
            assert it.live(str(life), seconds, after_first=life % 2 == 0) == -signal.SIGKILL
            if (folder / "db").exists() and it.acknowledged:
                check_database(folder / "db", it.acknowledged)
        assert it.live("last") == 0
        assert len(it.acknowledged) >= times // 2
        check_database(folder / "db", it.acknowledged)
        check_deliveries(folder, it.acknowledged, times)
        check_clips(folder)
        check_backups(folder)
        assert not list(folder.glob("*.damaged-*"))


def check_database(path: Path, acknowledged: set[str]) -> None:
    with Database.open(path, read_only=True) as database:
        assert database.rows("PRAGMA integrity_check")[0][0] == "ok"
        assert database.rows("PRAGMA foreign_key_check") == []
        found = {one.id: one for one in find(database, Choice())}
        made = {entry.delivery.key for entry in find_deliveries(database, Anything())}
    for key in acknowledged:
        identity, state = key.split("/")
        # Both deliveries of a start and its end are made in the commit that was acknowledged.
        assert f"{key}/{'tell' if state == 'started' else 'keep'}" in made
        if state == "ended":
            one = found[identity]
            number = round(one.start_sample / 48000)
            assert one == detection(number, seconds=9, run_id=one.run_id, clip_path=f"{one.run_id}/{number}")
    assert found.keys() >= {key.split("/")[0] for key in acknowledged}


def check_deliveries(folder: Path, acknowledged: set[str], deaths: int) -> None:
    told = Counter(line.split()[1] for line in (folder / "world").read_text().splitlines())
    assert told.keys() >= {f"{key}/tell" for key in acknowledged if key.endswith("/started")}
    assert sum(told.values()) - len(told) <= deaths, (
        "once, and once more only where its note died with a life"
    )
    with Database.open(folder / "db", read_only=True) as database:
        entries = list(find_deliveries(database, Anything()))
    assert {entry.delivery.status for entry in entries if entry.delivery.action == "tell"} == {"done"}
    for entry in entries:
        if entry.delivery.action == "keep":
            assert entry.delivery.status in ("done", "lost")
            if entry.delivery.status == "done":
                assert (folder / "clips" / f"{entry.delivery.detection.clip_path}.flac").exists()


def check_clips(folder: Path) -> None:
    """Every sound is whole and has its sidecar and its row; nothing else is there."""
    with Database.open(folder / "db", read_only=True) as database:
        paths = {one.clip_path for one in find(database, Choice())}
    files = [path for path in (folder / "clips").rglob("*") if path.is_file()]
    sounds = [path for path in files if path.suffix == ".flac"]
    assert sounds
    assert len(files) == 2 * len(sounds)
    for path in sounds:
        assert soundfile.info(path).frames == FRAMES
        assert json.loads(path.with_suffix(".json").read_text())["clip"]["file"] == path.name
        assert str(path.relative_to(folder / "clips").with_suffix("")) in paths


def check_backups(folder: Path) -> None:
    copies = list((folder / "backups").iterdir())
    assert 0 < len(copies) <= 3
    for copy in copies:
        with closing(sqlite3.connect(f"file:{copy}?mode=ro&immutable=1", uri=True)) as opened:
            assert opened.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_killed_station_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    kill_at_random_moments(tmp_path, 20)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_station_killed_two_hundred_times_loses_nothing(tmp_path: Path) -> None:
    kill_at_random_moments(tmp_path, 200)
