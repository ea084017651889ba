"""The processes that analyse: each loads the model once and is given one file after the other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from contextlib import suppress
from ctypes import c_double
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from birdwatchd.analysis.findings import Findings
from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from types import TracebackType
    from typing import Self

    from birdwatchd.analysis.worker import Settings, Task

PRELOADED = ["birdwatchd.analysis.preloaded"]
"""Imported once for all workers: torch takes seconds, and 200 MB that they then share."""
_END_SECONDS = 5.0


@dataclass(slots=True)
class _Job:
    process: BaseProcess
    connection: Connection
    task: Task | None = None


def start_server() -> None:
    """Have the server import what the workers need from now on. It takes no notice when it was told before."""
    multiprocessing.set_forkserver_preload(PRELOADED)
    # Ctrl-C goes to every process of the terminal, and this one could not yet take it without a traceback. The tracker,
    # which the server would start itself, comes first: it lets the signal through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Jobs:
    """Worker processes. A context manager: it ends them.

    They are forked from a server that has imported torch but never used it: it would not survive a fork once it has
    threads. A worker that dies takes its file with it, and is replaced for the rest.
    """

    def __init__(self, settings: Settings, count: int, *, threads: int = 1) -> None:
        """Prepare `count` processes with `threads` inference threads each."""
        self._settings = settings
        self._threads = threads
        self._count = count
        self._context = multiprocessing.get_context("forkserver")
        start_server()
        self._seconds: list[c_double] = []  # one a process: one that dies must not hold a lock
        self._jobs: list[_Job] = []

    @property
    def seconds_read(self) -> float:
        """Seconds of sound that all of them have read so far."""
        return sum(seconds.value for seconds in self._seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for job in self._jobs:
            job.connection.close()
            if kind is not None:
                job.process.kill()
        for job in self._jobs:
            job.process.join(_END_SECONDS)
            if job.process.is_alive():
                job.process.kill()
                job.process.join()

    def results(self, tasks: Iterable[Task], idle: Callable[[], None]) -> Iterator[Findings]:
        """What each file has in it, as they get done. `idle` is called a few times a second.

        Raises:
            UserError: the model cannot be loaded, or the machine cannot bear so many processes.
        """
        waiting = deque(tasks)
        self._jobs = [self._spawn() for _ in range(min(self._count, len(waiting)))]
        while self._jobs:
            for connection in wait([job.connection for job in self._jobs], timeout=0.2):
                job = next(job for job in self._jobs if job.connection is connection)
                try:
                    message = job.connection.recv()
                except (EOFError, ConnectionError):
                    yield self._died(job, waiting)
                    continue
                if isinstance(message, UserError):
                    raise message
                # First the next file, as what was found in this one is now written to a disk.
                self._give(job, waiting)
                if isinstance(message, Findings):
                    yield message
                if job.task is None:
                    self._let_go(job)
            idle()

    def _spawn(self) -> _Job:
        ours, theirs = self._context.Pipe()
        seconds = self._context.RawValue(c_double, 0.0)
        self._seconds.append(seconds)
        process = self._context.Process(
            target=_work, args=(theirs, self._settings, self._threads, seconds), daemon=True
        )
        process.start()
        theirs.close()
        return _Job(process, ours)

    def _give(self, job: _Job, waiting: deque[Task]) -> None:
        """The next file, if there is one."""
        job.task = waiting.popleft() if waiting else None
        if job.task is not None:
            # Of one that died meanwhile its connection tells, the next time that it is read.
            with suppress(ConnectionError):
                job.connection.send(job.task)

    def _let_go(self, job: _Job) -> None:
        job.connection.close()  # the worker takes it as its end
        job.process.join(_END_SECONDS)
        self._jobs.remove(job)

    def _died(self, job: _Job, waiting: deque[Task]) -> Findings:
        job.process.join(_END_SECONDS)
        job.connection.close()
        self._jobs.remove(job)
        how = _how(job.process.exitcode)
        if job.task is None:
            raise UserError(
                f"an analysing process ended before it began ({how}): free some memory, or try fewer --jobs"
            )
        if waiting:
            self._jobs.append(self._spawn())
        return Findings(
            str(job.task.path),
            failure=f"{job.task.path} ended the process that analysed it ({how}): try fewer --jobs",
        )


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"by signal {signal.Signals(-exit_code).name}"
    return f"exit status {exit_code}"


def _work(connection: Connection, settings: Settings, threads: int, seconds: c_double) -> None:
    """A worker process: says that it is ready, then answers each file with its findings."""
    # Ctrl-C goes to every process of the terminal; the parent says when it is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()

    from birdwatchd.analysis.quiet import quiet
    from birdwatchd.analysis.worker import Worker

    quiet()

    def heard(more: float) -> None:
        seconds.value += more

    try:
        worker = Worker(settings, threads=threads)
    except UserError as error:
        with suppress(ConnectionError):
            connection.send(error)
        return
    message: Findings | str = "ready"
    with worker:
        while True:
            try:
                connection.send(message)
                task = connection.recv()
            except (EOFError, ConnectionError):
                return  # nobody waits for it any more
            message = worker.analyse(task, heard)


def _die_with_parent() -> None:
    """A parent that was killed cannot say that it is over."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
