"""Time in the soak: the clock of all that is soaked, which may run faster than the real one, and may be set wrong."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

_LAYOUT = struct.Struct("4d")
_SHIM = Path(__file__).with_name("clock.c")


class Clock:
    """Seconds as the daemon lives them. `now` is the true time there, whatever the daemon's system clock was set to."""

    def __init__(self, folder: Path, speed: float) -> None:
        """Begin now. The preloaded clock is compiled into `folder`; `attach` finds it again from another process."""
        self.path = folder / "clock"
        self.library = folder / "clock.so"
        if not self.path.exists():
            compiler = shutil.which("cc")
            if compiler is None:
                raise SystemExit(
                    "soak: a C compiler is needed for the daemon's own clock: apt-get install gcc libc6-dev"
                )
            words = [compiler, "-O2", "-shared", "-fPIC", "-o", str(self.library), str(_SHIM), "-ldl"]
            subprocess.run(words, check=True)
            self.path.write_bytes(_LAYOUT.pack(speed, time.monotonic(), time.time(), 0.0))
        with self.path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _LAYOUT.size)
        self.speed: float
        self.epoch: float
        self._began: float
        self.speed, self._began, self.epoch, _ = _LAYOUT.unpack(self._memory[:])

    @classmethod
    def attach(cls, path: Path) -> Clock:
        """The clock of a soak that runs."""
        return cls(path.parent, 0.0)

    @property
    def elapsed(self) -> float:
        """Seconds since the soak began."""
        return (time.monotonic() - self._began) * self.speed

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self.epoch + self.elapsed

    def date(self, elapsed: float | None = None) -> datetime:
        """The aware time, now or so many seconds after the beginning."""
        return datetime.fromtimestamp(self.epoch + (self.elapsed if elapsed is None else elapsed), UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(max(0.0, seconds) / self.speed)

    def step(self, seconds: float) -> None:
        """Set the system clock of all that is soaked wrong by so much; 0 sets it right."""
        self._memory[24:32] = struct.pack("d", seconds)

    @property
    def environment(self) -> dict[str, str]:
        """For whatever is to live by this clock."""
        return {**os.environ, "LD_PRELOAD": str(self.library), "SOAK_CLOCK": str(self.path)}
