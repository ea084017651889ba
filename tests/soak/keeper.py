"""The daemon in the hands of somebody who does what systemd does: starts it again, and watches its watchdog."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.soak.clock import Clock

ROOT = Path(__file__).parents[2]
# As systemd/birdwatchd.service has them.
RESTART_SECONDS = 30.0
WATCHDOG_SECONDS = 60.0
STOP_SECONDS = 90.0
READY_SECONDS = 180.0
"""Of ours, on a machine that has much else to do."""


@dataclass(frozen=True, slots=True)
class Vital:
    """What one look at the daemon's process found. `at` in seconds since the beginning, memory in bytes."""

    at: float
    life: int
    age: float
    memory: int
    files: int
    threads: int
    children: int


class Keeper:
    """Use it as a context manager: the daemon runs inside, or is about to."""

    def __init__(self, folder: Path, clock: Clock, environment: dict[str, str]) -> None:
        self.clock = clock
        self.lives: list[tuple[float, float, str]] = []
        """Of those that have ended: from when to when they lived, and how they ended."""
        self.vitals: list[Vital] = []
        self.watchdog_bites = 0
        self._log = (folder / "daemon.log").open("ab")
        self._config = folder / "config.yaml"
        self._environment = environment
        self._address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._address)
        self._socket.settimeout(0.2)
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._fed = 0.0
        self._is_paused = False
        self.is_ready = False
        self._at_once = False
        self._held = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._socket.close()
        self._log.close()

    @property
    def pid(self) -> int | None:
        """The daemon's process, when it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal. One that is stopped is not missed by the watchdog for as long as that was planned."""
        self._at_once = number == signal.SIGTERM
        self.is_ready = self.is_ready and number not in (signal.SIGKILL, signal.SIGTERM)
        self._is_paused = number == signal.SIGSTOP
        self._fed = self.clock.elapsed
        if (pid := self.pid) is not None:
            os.kill(pid, number)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It is stopped meanwhile, and started again behind."""
        self._held = True
        self.signal(signal.SIGTERM)
        wait_until(lambda: self._process is None, "the daemon has ended", STOP_SECONDS)
        yield
        self._held = False
        self.wait_ready()

    def wait_ready(self) -> None:
        """Until it says that it listens.

        Raises:
            SystemExit: it does not, and starting it again does not help.
        """
        try:
            wait_until(lambda: self.is_ready, "the daemon is ready", READY_SECONDS)
        except AssertionError:
            last = Path(self._log.name).read_text(errors="replace").splitlines()[-10:]
            raise SystemExit(
                "\n".join(["soak: the daemon does not get ready; it said last:", *last])
            ) from None

    def children(self) -> list[int]:
        """Its child processes."""
        pid = self.pid
        if pid is None:
            return []
        with suppress(OSError):
            return [
                int(child)
                for thread in Path(f"/proc/{pid}/task").iterdir()
                for child in (thread / "children").read_text().split()
            ]
        return []

    def _keep(self) -> None:
        looked = 0.0
        while not self._stopping.is_set():
            if self._process is None:
                if self._held:
                    self._stopping.wait(0.05)
                    continue
                self._start()
            self._hear()
            assert self._process is not None
            if (status := self._process.poll()) is not None:
                self._bury(status)
                if not self._at_once:
                    self._stopping.wait(RESTART_SECONDS / self.clock.speed)
                self._at_once = False
                continue
            hungry = self.clock.elapsed - self._fed
            if self.is_ready and not self._is_paused and hungry > WATCHDOG_SECONDS + 2 * self.clock.speed:
                self.watchdog_bites += 1
                self._process.send_signal(signal.SIGABRT)
                self._fed = self.clock.elapsed
            if time.monotonic() - looked > 2:
                looked = time.monotonic()
                self._look()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                status = self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                status = self._process.wait()
            self._bury(status)

    def _start(self) -> None:
        self.is_ready = False
        self._is_paused = False
        self._began = self._fed = self.clock.elapsed
        self._process = subprocess.Popen(
            [sys.executable, "-m", "birdwatchd", "run", "-c", str(self._config)],
            env={
                **self._environment,
                "PYTHONPATH": str(ROOT),
                "NOTIFY_SOCKET": self._address,
                "WATCHDOG_USEC": str(round(WATCHDOG_SECONDS * 1e6)),
            },
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def _hear(self) -> None:
        """What it says, for a moment."""
        with suppress(TimeoutError):
            said = self._socket.recv(4096).decode()
            if said.startswith(("READY=1", "WATCHDOG=1")):
                self._fed = self.clock.elapsed
            self.is_ready = self.is_ready or "READY=1" in said

    def _bury(self, status: int) -> None:
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        self.lives.append((self._began, self.clock.elapsed, how))
        self._process = None
        self.is_ready = False

    def _look(self) -> None:
        pid = self.pid
        if pid is None or not self.is_ready:
            return
        with suppress(OSError, KeyError):  # it may die while it is looked at, and a dead one has no memory
            status = Path(f"/proc/{pid}/status").read_text()
            fields = dict(line.split(":", 1) for line in status.splitlines())
            self.vitals.append(
                Vital(
                    self.clock.elapsed,
                    len(self.lives),
                    self.clock.elapsed - self._began,
                    int(fields["RssAnon"].split()[0]) * 1024,
                    len(list(Path(f"/proc/{pid}/fd").iterdir())),
                    int(fields["Threads"]),
                    len(self.children()),
                )
            )
