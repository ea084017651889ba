"""A web server that takes webhooks, in a process of its own, and that can misbehave.

    python -m tests.soak.web PORT FOLDER

What it does is in FOLDER/web.mode: `ok`, `error` (500) or `hang`. What it has taken goes into FOLDER/web.taken, a key a line.
"""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Answers(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def do_POST(self) -> None:
        """Take it, or do not."""
        self.rfile.read(int(self.headers["Content-Length"]))
        mode = (self.folder / "web.mode").read_text()
        while mode == "hang":
            time.sleep(0.1)
            mode = (self.folder / "web.mode").read_text()
        if mode == "ok":
            with (self.folder / "web.taken").open("a") as file:
                file.write(f"{self.headers['webhook-id']}\n")
        self.send_response(200 if mode == "ok" else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """The file is enough."""


class Server(ThreadingHTTPServer):
    """It may be started again at once."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that hung up is none."""


if __name__ == "__main__":
    Answers.folder = Path(sys.argv[2])
    Server(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
