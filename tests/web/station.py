"""A station with a page: the real daemon on sound that is known, and a browser to look at it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import soundfile

from tests.integration.waiting import wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 48000
PATIENCE_SECONDS = 60.0
CONFIG = """\
node: wood
model:
  bundle: {bundle}
location:
  latitude: 52.5
  longitude: 13.4
  timezone: Europe/Berlin
deciding:
  include: [Low Tone]
sources:
  - name: garden
    kind: recording
    path: {folder}/day.wav
    start: now
actions:
  - name: clips
    kind: save_clip
store:
  database: {folder}/birds.sqlite
  clips_folder: {folder}/clips
web:
  port: {port}
{more}
"""


@dataclass
class Station:
    """A daemon that runs; `folder` holds its config.yaml, birds.sqlite, clips/ and log.txt."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def get(self, path: str) -> httpx.Response:
        """What it answers, however busy the machine is."""
        return httpx.get(f"{self.url}{path}", timeout=PATIENCE_SECONDS)

    def is_deaf(self) -> bool:
        """Whether nobody listens at its port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def start(self) -> None:
        """Begin, and wait until it listens and its page answers."""
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "birdwatchd", "run", "-c", str(self.config)],
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )
        wait_until(self._answers, f"the page of {self.config}: {self.log}", 180)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            return self.get("/static/style.css").status_code == 200
        except httpx.TransportError:
            return False

    def reload(self) -> None:
        """Have it read its config again, and wait until it has."""
        assert self.process is not None
        before = self.log.count('"reloaded"') + self.log.count("config not taken")
        self.process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: self.log.count('"reloaded"') + self.log.count("config not taken") > before, "the reload"
        )

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def write_sound(path: Path, seconds: int = 120) -> None:
    """Noise, with the high tone (tests/tiny.py: Testus altus) for 3 s in every 10, and the low one 5 s after it.

    Each ten are a hair quieter than the last: two clips of the very same sound, judged unlike, would be of no use for training.
    """
    rng = np.random.default_rng(1)
    ten = rng.normal(0, 0.003, 10 * RATE)
    beep = np.arange(3 * RATE) / RATE
    ten[2 * RATE : 5 * RATE] += 0.3 * np.sin(2 * np.pi * 4000 * beep)
    ten[7 * RATE :] += 0.3 * np.sin(2 * np.pi * 1000 * beep)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        for number in range(-(-seconds // 10)):
            file.write(ten * (1 - number / 2000))


@contextmanager
def station(
    folder: Path, bundle: Path, *, more: str = "", config: str = CONFIG, seconds: int = 900
) -> Iterator[Station]:
    """A daemon in `folder`; `more` are further lines of its config, the first of them below `web:`."""
    write_sound(folder / "day.wav", seconds)
    there = Station(folder, free_port())
    there.config.write_text(config.format(bundle=bundle, folder=folder, port=there.port, more=more))
    there.config.chmod(0o600)
    try:
        there.start()
        yield there
    finally:
        there.kill()
