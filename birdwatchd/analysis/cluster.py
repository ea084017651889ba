"""Workers on other machines: Dask's scheduler hands each of them one file after the other.

    dask scheduler                                          on one machine
    dask worker tcp://HOST:8786 --nthreads 1 --nworkers 4   on each of them

Recordings and bundle lie where every machine finds them under the same path.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import CancelledError, Client, Future, KilledWorker, WorkerPlugin, get_worker, wait
from distributed.comm import CommClosedError

from birdwatchd import __version__
from birdwatchd.analysis.findings import Findings
from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from birdwatchd.analysis.worker import Settings, Task, Worker

CONNECT_SECONDS = 10.0
JOIN_SECONDS = 60.0
"""So long a scheduler may be without a worker at the start."""
AHEAD = 2
"""Files that each worker has: the one that it analyses, and the next. More would only wait there."""
POLL_SECONDS = 0.2


class Cluster:
    """A Dask cluster as the workers of an analysis. A context manager: it takes back what is not done.

    A worker that dies has its file done again by another; what was finished before is here already.
    """

    def __init__(self, settings: Settings, address: str) -> None:
        """Connect to the scheduler at `address`, such as `tcp://10.0.0.1:8786` or `tls://…`.

        Raises:
            UserError: nobody answers there, or no worker joins it.
        """
        self._address = address
        try:
            self._client = Client(address, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:  # a timeout is an OSError
            raise UserError(
                f"no Dask scheduler answers at {address}: start one with `dask scheduler`, or see to the address"
            ) from error
        self._loaded = Loaded(settings)
        self.seconds_read = 0.0
        """Seconds of sound in the files that are done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A scheduler that has gone has let go of everything already.
        with contextlib.suppress(OSError, ValueError):
            self._client.unregister_worker_plugin(self._loaded.name, nanny=False)
        self._client.close()

    def results(self, tasks: Iterable[Task], idle: Callable[[], None]) -> Iterator[Findings]:
        """What each file has in it, as they get done. `idle` is called a few times a second.

        Raises:
            UserError: the workers are not fit for it, or the scheduler has gone.
        """
        waiting = deque(tasks)
        under_way: dict[Future, Task] = {}
        try:
            if waiting:
                self._prepare()
            while waiting or under_way:
                room = AHEAD * len(self._client.nthreads()) - len(under_way)
                for task in [waiting.popleft() for _ in range(min(room, len(waiting)))]:
                    under_way[self._client.submit(_analyse, self._loaded.name, task, pure=False)] = task
                for future in self._done(under_way):
                    yield self._found(future, under_way.pop(future))
                idle()
        except (CancelledError, CommClosedError, OSError) as error:
            raise UserError(
                f"the Dask scheduler at {self._address} has gone: start it again, and go on with --resume"
            ) from error

    def _prepare(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=JOIN_SECONDS)
        except TimeoutError as error:
            raise UserError(
                f"no worker has joined the scheduler at {self._address}: start some with "
                f"`dask worker {self._address} --nthreads 1`"
            ) from error
        try:
            self._client.register_plugin(self._loaded, self._loaded.name)
        except (ImportError, AttributeError) as error:
            raise UserError(
                f"the workers at {self._address} do not know birdwatchd {__version__} ({error}): install it there"
            ) from error

    def _done(self, under_way: Iterable[Future]) -> set[Future]:
        try:
            done: set[Future] = wait(
                list(under_way), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED"
            ).done
        except TimeoutError:
            return set()
        return done

    def _found(self, future: Future, task: Task) -> Findings:
        try:
            found: Findings = future.result()
        except KilledWorker:
            return Findings(
                str(task.path),
                failure=f"{task.path} ended every worker that analysed it: give the workers more memory",
            )
        future.release()  # as long as it is held, it is done again when its worker dies
        self.seconds_read += found.seconds
        return found


class Loaded(WorkerPlugin):  # type: ignore[misc] # Dask is not typed
    """The model on a worker: loaded once in its process, by the first file that it is given."""

    def __init__(self, settings: Settings) -> None:
        """Made by the client, and sent to every worker; settings are all that travels."""
        self.name = f"birdwatchd-{secrets.token_hex(4)}"
        self._settings = settings
        self._folder = Path.cwd()
        self._version = __version__
        self._sha256 = _sha256(settings.bundle)

    def setup(self, worker: object) -> None:
        """On the worker, when it hears of it."""
        self._lock = threading.Lock()
        self._worker: Worker | None = None

    def teardown(self, worker: object) -> None:
        """On the worker, when the analysis is over."""
        with self._lock:
            if self._worker is not None:
                self._worker.__exit__(None, None, None)

    def analyse(self, task: Task) -> Findings:
        """One file. A worker with several threads does one after the other: the model is one.

        Raises:
            UserError: birdwatchd or the bundle is another here, or the model cannot be loaded.
        """
        from birdwatchd.analysis.quiet import quiet
        from birdwatchd.analysis.worker import Worker

        with self._lock:
            if self._worker is None:
                quiet()
                self._refuse_unlike()
                self._worker = Worker(self._settings)
            return self._worker.analyse(task, lambda _seconds: None)

    def _refuse_unlike(self) -> None:
        bundle = self._settings.bundle
        try:
            os.chdir(self._folder)  # paths mean there what they mean here
        except OSError as error:
            raise UserError(
                f"a worker has no folder {self._folder}: work in one that every machine finds"
            ) from error
        if self._version != __version__:
            raise UserError(
                f"a worker has birdwatchd {__version__}, and this is {self._version}: install the same on all machines"
            )
        if not bundle.is_file():
            raise UserError(
                f"a worker has no {bundle}: put the bundle where every machine finds it, and name it with --model"
            )
        if _sha256(bundle) != self._sha256:
            raise UserError(f"a worker has another {bundle}: copy this machine's there")


def _analyse(name: str, task: Task) -> Findings:
    """Runs on a worker."""
    loaded: Any = get_worker().plugins[name]
    found: Findings = loaded.analyse(task)
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
