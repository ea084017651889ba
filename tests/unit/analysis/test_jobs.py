"""Worker processes: one that dies costs its file and no other."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from ctypes import c_double
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from birdwatchd.analysis.jobs import Jobs, _work
from birdwatchd.analysis.settings import settle
from birdwatchd.analysis.sites import Site
from birdwatchd.analysis.worker import Settings, Task
from birdwatchd.errors import UserError
from tests.tiny import build_stubborn_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATE = 48_000
SILENCE = np.zeros(6 * RATE)


@pytest.fixture
def untouched() -> Iterator[None]:
    """What a worker sets for its own process is as it was."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("has_heard", [False, True])
def test_a_worker_ends_without_a_word_when_nobody_waits_for_it(tiny_bundle: Path, *, has_heard: bool) -> None:
    """The analysis was killed, before the worker was ready or with its words still unread."""
    ours, theirs = multiprocessing.Pipe()

    def leave() -> None:
        ours.poll(60 if has_heard else 0)
        ours.close()

    leaving = threading.Thread(target=leave)
    leaving.start()
    if not has_heard:
        leaving.join()
    _work(theirs, Settings(settle(None, {}), tiny_bundle), 1, c_double())
    leaving.join()


def test_a_worker_that_is_killed_costs_its_file_only(tmp_path: Path) -> None:
    tasks = []
    # At sound as loud as this the model stands still for ever.
    loud = 0.95 * np.where(np.arange(60 * RATE) % 480 < 240, 1, -1)
    for name, sound in (
        ("long", np.append(np.zeros(60 * RATE), loud)),
        ("short", SILENCE),
        ("last", SILENCE),
    ):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, sound, RATE)
        tasks.append(Task(path, Site()))
    settings = Settings(settle(None, {}), build_stubborn_bundle(tmp_path / "stubborn.pt"))
    killed: list[int | None] = []

    def kill() -> None:
        if jobs.seconds_read > 0 and not killed:
            (process,) = multiprocessing.active_children()
            killed.append(process.pid)
            process.kill()

    with Jobs(settings, 1) as jobs:
        found = {findings.file: findings for findings in jobs.results(tasks, kill)}
    long, short, last = (found[str(task.path)] for task in tasks)
    assert "ended the process that analysed it (by signal SIGKILL)" in long.failure
    assert (short.failure, short.seconds) == ("", 6)
    assert (last.failure, last.seconds) == ("", 6)
    assert multiprocessing.active_children() == []


def test_a_model_that_cannot_be_loaded_ends_it_with_its_sentence(tmp_path: Path) -> None:
    bundle = tmp_path / "bad.pt"
    bundle.write_text("not a model")
    settings = Settings(settle(None, {}), bundle)
    with Jobs(settings, 1) as jobs, pytest.raises(UserError, match="is not TorchScript"):
        list(jobs.results([Task(tmp_path / "a.wav", Site())], lambda: None))
    assert multiprocessing.active_children() == []
