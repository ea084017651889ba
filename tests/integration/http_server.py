"""A web server in a process of its own. Arguments: port, folder, and for TLS a file with key and certificate.

It writes each request as a line of JSON to `requests` in the folder. What it answers is in the path:

    /picture, /digest, /basic    the folder's file `picture`; the last two want the user `birds`, password `w:ren`
    /status/404                  that status
    /plan                        what the folder's `plan` says: lines of JSON, [status, headers, text], one a request
    /moved                       a redirect to /picture
    /hang                        nothing at all, for ever
    /drip                        a byte every tenth of a second, for ever
    anything else                200
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

USER, PASSWORD, REALM, NONCE = "birds", "w:ren", "nest", "0123456789abcdef"
lock = threading.Lock()


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with lock, (self.folder / "requests").open("a") as file:
            request = {
                "method": self.command,
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": base64.b64encode(body).decode(),
                "peer": self.client_address[1],
            }
            file.write(json.dumps(request) + "\n")
        getattr(self, f"answer_{self.path.split('/')[1].partition('?')[0]}", self.answer_ok)()

    do_GET = do_POST  # noqa: N815 - the name is http.server's

    def answer_ok(self) -> None:
        self.answer(200, b"thanks")

    def answer_picture(self) -> None:
        self.answer(200, (self.folder / "picture").read_bytes(), {"Content-Type": "image/jpeg"})

    def answer_basic(self) -> None:
        given = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {given}":
            self.answer_picture()
        else:
            self.answer(401, b"who?", {"WWW-Authenticate": f'Basic realm="{REALM}"'})

    def answer_digest(self) -> None:
        scheme, _, rest = self.headers.get("Authorization", "").partition(" ")
        said: dict[str, Any] = urllib.request.parse_keqv_list(urllib.request.parse_http_list(rest))
        if scheme == "Digest":
            whole = (NONCE, said["nc"], said["cnonce"], said["qop"], md5(f"{self.command}:{self.path}"))
            if said["response"] == md5(":".join((md5(f"{USER}:{REALM}:{PASSWORD}"), *whole))):
                self.answer_picture()
                return
        challenge = f'Digest realm="{REALM}", nonce="{NONCE}", qop="auth", algorithm=MD5'
        self.answer(401, b"who?", {"WWW-Authenticate": challenge})

    def answer_status(self) -> None:
        self.answer(int(self.path.rpartition("/")[2]), b"<html>no\n such  thing</html>")

    def answer_plan(self) -> None:
        plan = self.folder / "plan"
        with lock:
            first, *others = plan.read_text().splitlines(keepends=True) or ['[200, {}, ""]']
            plan.write_text("".join(others))
        status, headers, text = json.loads(first)
        self.answer(status, text.encode(), headers)

    def answer_moved(self) -> None:
        self.answer(302, headers={"Location": "/picture"})

    def answer_hang(self) -> None:
        time.sleep(3600)

    def answer_drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while True:
            self.wfile.write(b"x")
            time.sleep(0.1)

    def log_message(self, *_: Any) -> None:
        """The file of requests is enough."""


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that hung up is none."""


if __name__ == "__main__":
    port, folder, *certificate = sys.argv[1:]
    Answers.folder = Path(folder)
    server = Server(("127.0.0.1", int(port)), Answers)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate[0])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
