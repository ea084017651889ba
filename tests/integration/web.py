"""A real web server for tests: see http_server.py for what it answers."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.integration.waiting import wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]
    """Their names in lower case."""
    body: bytes
    peer: int
    """The port it came from: the same for all requests of a connection."""


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself: the server's file, with the key, and the one that may be known."""
    known, key = folder / "known.pem", folder / "key.pem"
    request = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=own")
    own = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", known)
    subprocess.run([*request, *own], check=True, capture_output=True)
    key.write_bytes(key.read_bytes() + known.read_bytes())
    return key, known


class WebServer:
    """Use it as a context manager."""

    def __init__(self, folder: Path, *, certificate: Path | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{self.port}"
        self._folder = folder
        self._certificate = [] if certificate is None else [str(certificate)]
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        script = Path(__file__).with_name("http_server.py")
        self._server = subprocess.Popen(
            [sys.executable, "-S", script, str(self.port), self._folder, *self._certificate]
        )
        wait_until(self._answers, "the web server starts")

    def plan(self, *answers: tuple[int, Mapping[str, str], str]) -> None:
        """What `/plan` answers, one after the other."""
        (self._folder / "plan").write_text("".join(json.dumps(answer) + "\n" for answer in answers))

    def shows(self, picture: bytes) -> None:
        """What `/picture` answers."""
        (self._folder / "picture").write_bytes(picture)

    @property
    def requests(self) -> list[Request]:
        path = self._folder / "requests"
        found: list[dict[str, Any]] = [
            json.loads(line) for line in (path.read_text().splitlines() if path.exists() else ())
        ]
        return [Request(**{**one, "body": base64.b64decode(one["body"])}) for one in found]

    def stop(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGKILL)
        self._server.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
