"""A whole daemon with a small model, and its ledger held against a stopwatch that it does not know of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from birdwatchd.audio.ledger import Ledger
from birdwatchd.store.database import Database
from birdwatchd.store.ledger import between
from tests.integration.waiting import wait_until
from tests.processes import children

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from birdwatchd.audio.source import Source

ROOT = Path(__file__).parents[2]
BYSTANDER = """\
  - name: bystander
    kind: stream
    url: sine=frequency=4000:sample_rate=48000
    ffmpeg_options: [-re, -f, lavfi]
"""
"""A source that has nothing to do with any sound server, or any network: it must not notice."""


class Balance:
    """What a ledger says of one source, in seconds."""

    def __init__(self) -> None:
        self.expected = self.captured = self.analysed = 0.0
        self.lost: dict[str, float] = defaultdict(float)
        self.skipped: dict[str, float] = defaultdict(float)

    def add(self, kind: str, cause: str, seconds: float) -> None:
        if kind in ("lost", "skipped"):
            getattr(self, kind)[cause] += seconds
        else:
            setattr(self, kind, getattr(self, kind) + seconds)

    @property
    def causes(self) -> dict[str, float]:
        """What was lost, without what was taken back."""
        return {cause: round(seconds, 3) for cause, seconds in self.lost.items() if seconds > 1e-3}

    def __repr__(self) -> str:
        skipped = {cause: round(seconds, 3) for cause, seconds in self.skipped.items()}
        return (
            f"expected {self.expected:.2f} s, captured {self.captured:.2f} s, lost {self.causes}, "
            f"analysed {self.analysed:.2f} s, skipped {skipped}"
        )


def tell(what: str, **balances: Balance) -> None:
    """The figures of a test that held; `pytest -rP` shows them."""
    for source, found in balances.items():
        sys.stdout.write(f"{what}: {source}: {found}\n")


def balance(source: Source) -> Balance:
    """What a ledger that had looked all the time would say of a source without a daemon."""
    ledger = Ledger(source.name, source.ring, source.clock)
    ledger.capture()
    found = Balance()
    for entry in ledger.take():
        found.add(entry.kind, entry.cause, entry.seconds)
    return found


class Station:
    """`birdwatchd run` with these sources. A context manager: it is ended when left."""

    def __init__(
        self,
        folder: Path,
        bundle: Path,
        sources: str,
        environment: Mapping[str, str] = os.environ,
        *,
        more: str = "",
        module: str = "birdwatchd",
    ) -> None:
        """`more` goes into the config, and `module` is what is run."""
        self.database = folder / "birds.sqlite"
        self.config = folder / "config.yaml"
        self.config.write_text(
            f"model:\n  bundle: {bundle}\n  inference_threads: 1\nsources:\n{sources}"
            f"store:\n  database: {self.database}\n  clips_folder: {folder / 'clips'}\n{more}"
        )
        self._log = folder / "log"
        self._module = module
        self._environment = {**environment, "PYTHONPATH": str(ROOT)}
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def start(self, *, wait: bool = True) -> None:
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", self._module, "run", "-c", self.config],
                env=self._environment,
                stderr=log,
                stdout=subprocess.DEVNULL,
            )
        if wait:
            self.wait_for("listening")

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """What it has logged so far; all of it, or those events."""
        lines = self._log.read_text(errors="replace").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in found if not name or event["event"] == name]

    def wait_for(self, name: str, *, times: int = 1, seconds: float = 120.0, **fields: Any) -> None:
        """Until it has logged that."""

        def said() -> bool:
            assert self._child is not None
            fitting = [event for event in self.events(name) if fields.items() <= event.items()]
            assert len(fitting) >= times or self._child.poll() is None, self._log.read_text()
            return len(fitting) >= times

        wait_until(said, f"{name} {fields} in {self._log}", seconds)

    def children(self) -> list[int]:
        """The process ids of its ffmpegs."""
        return children(self.pid, "ffmpeg")

    def send(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send_signal(number)

    def ended(self, seconds: float = 120.0) -> int:
        """Its exit status."""
        assert self._child is not None
        return self._child.wait(seconds)

    def stop(self) -> None:
        """As systemd does, and in good order."""
        self.send(signal.SIGTERM)
        assert self.ended() == 0, self._log.read_text()
        assert not any("exception" in event for event in self.events()), self._log.read_text()

    def ledger(self) -> dict[str, Balance]:
        with Database.open(self.database, read_only=True) as database:
            entries = between(database)
        balances: dict[str, Balance] = defaultdict(Balance)
        for entry in entries:
            balances[entry.source].add(entry.kind, entry.cause, entry.seconds)
        return balances

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()


def elapsed(monotonic: Callable[[], float] = time.monotonic) -> Callable[[], float]:
    """A stopwatch that runs from now on."""
    began = monotonic()
    return lambda: monotonic() - began
