"""A real RTSP server that plays a sound file to whoever asks."""

from __future__ import annotations

import functools
import socket
import subprocess
from pathlib import Path

from tests.integration.program import Program
from tests.integration.waiting import wait_until
from tests.ports import free_port

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


class RtspServer(Program):
    """Each client hears the file from its start."""

    def __init__(self, path: Path) -> None:
        self.port = free_port()
        self.url = f"rtsp://127.0.0.1:{self.port}/birds"
        self.video_url = f"rtsp://127.0.0.1:{self.port}/video"
        self._path = path

    def start(self) -> None:
        script = Path(__file__).with_name("rtsp_server.py")
        self._process = subprocess.Popen([PYTHON, script, str(self.port), self._path])
        wait_until(self._answers, "the RTSP server starts")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
