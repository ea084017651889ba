"""A real sound server with a null sink: what is played into it is what the microphone hears."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.integration.program import Program
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

needs_sound_server = pytest.mark.skipif(
    not all(map(shutil.which, ("pulseaudio", "pactl", "paplay"))),
    reason="no sound server: apt-get install pulseaudio pulseaudio-utils libasound2-plugins libportaudio2",
)


class SoundServer(Program):
    """PulseAudio in a folder of its own."""

    def __init__(self, folder: Path, *, channels: int = 1) -> None:
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_SERVER": f"unix:{folder / 'native'}",
        }
        self._folder = folder
        self._channels = channels

    def start(self) -> None:
        socket = self._folder / "native"
        socket.unlink(missing_ok=True)
        options = (
            "-n --daemonize=no --exit-idle-time=-1 --disallow-exit --use-pid-file=no --disable-shm=yes --realtime=no "
            f"--high-priority=no --log-target=file:{self._folder / 'log'}"
        ).split()
        load = ("-L", f"module-native-protocol-unix socket={socket} auth-anonymous=1")
        self._process = subprocess.Popen(["pulseaudio", *options, *load], env=self.environment)
        wait_until(lambda: self._control("info", check=False).returncode == 0, "the sound server starts")
        self.plug()

    def plug(self) -> None:
        """A microphone appears, and becomes the default."""
        # Without norewinds a null sink loses up to a quarter of the samples.
        sink = f"sink_name=mic rate=48000 channels={self._channels} format=s16le norewinds=1"
        self._control("load-module", "module-null-sink", *sink.split())
        self._control("set-default-source", "mic.monitor")

    def unplug(self) -> None:
        """The microphone is gone; the server stays."""
        self._control("unload-module", "module-null-sink")

    def play(self, path: Path) -> None:
        """Play a sound file to its end."""
        subprocess.run(["paplay", "--device=mic", path], env=self.environment, check=True, timeout=180)

    def is_playing(self) -> bool:
        """Whether somebody plays, and is heard."""
        return b"Corked: no" in self._control("list", "sink-inputs").stdout

    def _control(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["pactl", *arguments], env=self.environment, capture_output=True, check=check, timeout=60
        )
