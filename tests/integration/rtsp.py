"""A real RTSP server that plays a sound file to whoever asks."""

from __future__ import annotations

import contextlib
import functools
import signal
import socket
import subprocess
from pathlib import Path
from typing import Self

from tests.integration.waiting import wait_until

PYTHON = "/usr/bin/python3"


@functools.cache
def missing() -> str:
    """Why there can be no RTSP server here; empty when there can."""
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        subprocess.run([PYTHON, "-c", probe], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return (
            "no RTSP server: apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base "
            "gstreamer1.0-plugins-good"
        )
    return ""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RtspServer:
    """Each client hears the file from its start. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self.port = free_port()
        self.url = f"rtsp://127.0.0.1:{self.port}/birds"
        self.video_url = f"rtsp://127.0.0.1:{self.port}/video"
        self._path = path
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        script = Path(__file__).with_name("rtsp_server.py")
        self._server = subprocess.Popen([PYTHON, script, str(self.port), self._path])
        wait_until(self._answers, "the RTSP server starts")

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        assert self._server is not None
        self._server.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self._server is not None
        self._server.send_signal(number)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
