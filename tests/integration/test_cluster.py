"""Many machines: a real Dask scheduler with real workers, and parts without one, give what one process gives."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from birdwatchd.errors import UserError
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 48000
HERTZ = (4000.0, 1000.0)
FILES = 12
HELD = Path(__file__).with_name("held.py")

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="no Dask: pip install 'birdwatchd[cluster]'"
)


def analyze(*arguments: object, status: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "birdwatchd", "analyze", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=cwd,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def assert_same(found: Path, expected: Path) -> None:
    """The same rows in the same order, scores within 0.001."""
    ours, theirs = rows(found), rows(expected)
    assert [{**row, "score": ""} for row in ours] == [{**row, "score": ""} for row in theirs]
    scores = [[float(row["score"]) for row in one] for one in (ours, theirs)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve recordings, of half a minute to two."""
    folder = tmp_path_factory.mktemp("cards")
    for number in range(FILES):
        samples = np.random.default_rng(number).normal(0, 0.001, round((30 + number * 8) * RATE))
        at = np.arange(len(samples)) / RATE
        samples += 0.3 * np.sin(2 * np.pi * HERTZ[number % 2] * at) * ((at >= number) & (at < number + 8))
        soundfile.write(folder / f"2023040{1 + number // 6}_05{number:02}00.wav", samples, RATE)
    return folder


@pytest.fixture(scope="module")
def alone(recordings: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process writes."""
    output = tmp_path_factory.mktemp("alone") / "all.csv"
    analyze(recordings, "--model", tiny_bundle, "--jobs", 1, "-o", output)
    assert len(rows(output)) == FILES
    return output


class Dask:
    """A scheduler and workers on loopback, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = (folder / "log").open("wb")
        self.scheduler = self._start(
            "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", self._file
        )
        self.workers: list[subprocess.Popen[bytes]] = []
        wait_until(lambda: self._file.is_file() and self._file.stat().st_size > 0, "the scheduler starts")

    @property
    def _file(self) -> Path:
        return self._folder / "scheduler.json"

    @property
    def address(self) -> str:
        return str(json.loads(self._file.read_text())["address"])

    def work(self, count: int) -> None:
        """Start so many workers, without a nanny: one that is killed stays dead."""
        place = ("--local-directory", self._folder, "--scheduler-file", self._file)
        for _ in range(count):
            self.workers.append(
                self._start("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard", *place)
            )

    def finished(self) -> Counter[str]:
        """How often each file was finished by a worker."""
        from distributed import Client

        with Client(self.address) as client:
            log: list[tuple[str, str]] = client.run_on_scheduler(
                lambda dask_scheduler: [(key, into) for key, _, into, *_ in dask_scheduler.transition_log]
            )
        return Counter(key for key, into in log if key.startswith("_analyse") and into == "memory")

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
        self._log.close()

    def _start(self, what: str, *arguments: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "distributed.cli.dask_" + what,
                "--host",
                "127.0.0.1",
                *map(str, arguments),
            ],
            env={**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s"},
            cwd=self._folder,
            stdout=self._log,
            stderr=self._log,
        )


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    folder = tmp_path / "dask"
    folder.mkdir()
    cluster = Dask(folder)
    try:
        yield cluster
    finally:
        cluster.close()


def test_parts_without_a_scheduler_are_put_together_in_the_order_of_the_files(
    recordings: Path, tiny_bundle: Path, alone: Path, tmp_path: Path
) -> None:
    output = tmp_path / "all.csv"
    words = (recordings, "--model", tiny_bundle, "--jobs", 1, "-o", output)
    for number in (1, 2):
        done = analyze(*words, "--shard", f"{number}/3")
        assert "4 files" in done.stderr
        assert f"put them together with: birdwatchd analyze {recordings} --model" in done.stderr
    assert not output.exists()
    again = analyze(*words, "--shard", "1/3", status=2)
    assert "go on with --resume" in again.stderr
    done = analyze(*words, "--resume")  # the third part has not been done: it is, here
    assert "8 of 12 files were analysed before" in done.stderr
    assert output.read_bytes() == alone.read_bytes()
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize(
    ("shard", "complaint"),
    [
        ("4/3", "the parts count from 1 to 3"),
        ("third", "is no part: write 3/20"),
        ("1/99", "there are only 12 recordings"),
    ],
)
def test_a_part_that_is_none_is_refused(
    recordings: Path, tiny_bundle: Path, shard: str, complaint: str
) -> None:
    done = analyze(recordings, "--model", tiny_bundle, "-o", "x.csv", "--shard", shard, status=2)
    assert complaint in done.stderr


def test_what_parts_have_left_is_not_mixed_into_another_analysis(
    recordings: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    words = (recordings, "--model", tiny_bundle, "--jobs", 1, "-o", tmp_path / "all.csv")
    analyze(*words, "--shard", "1/12")
    done = analyze(*words, "--resume", "--threshold", "0.6", status=2)
    assert "begun with other settings (deciding.threshold)" in done.stderr


@needs_dask
def test_a_worker_that_is_killed_loses_nothing_and_repeats_only_its_file(
    recordings: Path, tiny_bundle: Path, alone: Path, tmp_path: Path, dask: Dask
) -> None:
    dask.work(1)
    output = tmp_path / "all.csv"
    journal = tmp_path / "all.csv.resume"
    words = (recordings, "--model", tiny_bundle, "-o", output, "--cluster", dask.address)
    analysis = subprocess.Popen(
        [sys.executable, HELD, "6", "analyze", *map(str, words)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: journal.is_file() and journal.read_bytes().count(b"\n") > 6, "six files are done", 120)
    dask.workers[0].kill()
    dask.work(1)
    _, told = analysis.communicate("\n", timeout=240)
    assert analysis.returncode == 0, told
    assert f"{FILES} files" in told
    assert_same(output, alone)
    assert "Traceback" not in (tmp_path / "dask" / "log").read_text()
    from birdwatchd.analysis.cluster import AHEAD

    finished = dask.finished()
    assert len(finished) == FILES
    assert finished.total() - FILES <= AHEAD, "more than what lay at the dead worker was done again"


@needs_dask
@pytest.mark.long
def test_an_analysis_that_is_killed_goes_on_with_the_cluster(
    recordings: Path, tiny_bundle: Path, alone: Path, tmp_path: Path, dask: Dask
) -> None:
    dask.work(1)
    output = tmp_path / "all.csv"
    journal = tmp_path / "all.csv.resume"
    words = (recordings, "--model", tiny_bundle, "-o", output, "--cluster", dask.address)
    analysis = subprocess.Popen(
        [sys.executable, HELD, "2", "analyze", *map(str, words)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: journal.is_file() and journal.read_bytes().count(b"\n") > 2, "two files are done", 120)
    analysis.kill()
    analysis.communicate()
    done = analyze(*words, "--resume")
    assert "files were analysed before" in done.stderr
    assert_same(output, alone)


@needs_dask
@pytest.mark.long
def test_paths_mean_on_a_worker_what_they_mean_here(
    recordings: Path, tiny_bundle: Path, alone: Path, tmp_path: Path, dask: Dask
) -> None:
    """The worker was started in another folder."""
    dask.work(1)
    output = tmp_path / "all.csv"
    analyze(
        recordings.name,
        "--model",
        tiny_bundle,
        "--cluster",
        dask.address,
        "-o",
        output,
        cwd=recordings.parent,
    )
    assert [Path(row["file"]).parent for row in rows(output)] == [Path(recordings.name)] * FILES
    assert [row["start_seconds"] for row in rows(output)] == [row["start_seconds"] for row in rows(alone)]


@needs_dask
def test_a_worker_with_another_model_or_version_is_refused(
    recordings: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the worker does with what it was sent, in this process."""
    from birdwatchd.analysis import cluster
    from birdwatchd.analysis.settings import settle
    from birdwatchd.analysis.sites import Site
    from birdwatchd.analysis.worker import Settings, Task

    monkeypatch.chdir(tmp_path)  # and back, whatever a worker does
    bundle = tmp_path / "mine.pt"
    bundle.write_bytes(tiny_bundle.read_bytes())
    task = Task(next(recordings.iterdir()), Site())
    loaded = cluster.Loaded(Settings(settle(None, {}), bundle))
    loaded.setup(None)
    bundle.write_bytes(tiny_bundle.read_bytes() + b"0")
    with pytest.raises(UserError, match=r"a worker has another .*: copy this machine's there"):
        loaded.analyse(task)
    bundle.unlink()
    with pytest.raises(UserError, match=r"a worker has no .*: put the bundle where"):
        loaded.analyse(task)
    monkeypatch.setattr(cluster, "__version__", "0.0.1")
    with pytest.raises(UserError, match=r"a worker has birdwatchd 0\.0\.1"):
        loaded.analyse(task)


@needs_dask
def test_nobody_there(recordings: Path, tiny_bundle: Path) -> None:
    done = analyze(recordings, "--model", tiny_bundle, "--cluster", "tcp://127.0.0.1:9", status=2)
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in done.stderr


@needs_dask
def test_a_cluster_takes_no_jobs(recordings: Path, tiny_bundle: Path) -> None:
    done = analyze(
        recordings, "--model", tiny_bundle, "--cluster", "tcp://127.0.0.1:9", "--jobs", 2, status=2
    )
    assert "leave --jobs and --shard out" in done.stderr
