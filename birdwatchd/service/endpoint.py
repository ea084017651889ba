"""The port, where the config asks for one: `/metrics` for Prometheus, `/healthz` for whoever watches. It only tells."""

from __future__ import annotations

import errno
import json
import socket
import socketserver
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import structlog

from birdwatchd.errors import ServiceError
from birdwatchd.service.metrics import scrape

if TYPE_CHECKING:
    from collections.abc import Callable

    from birdwatchd.config.schema import Metrics
    from birdwatchd.service.status import Status

CLIENT_SECONDS = 5.0
"""So long one that asked may take for each thing it says or reads."""
LONGEST_SECONDS = 20.0
"""And so long for all of it: then it is hung up on."""
AT_ONCE = 8
"""So many are answered at the same time; more are sent away."""
INDEX = b"birdwatchd: /metrics for Prometheus, /healthz says whether all is well\n"

logger = structlog.get_logger()


class Endpoint:
    """Answers while it is entered, on threads of its own."""

    def __init__(self, config: Metrics, status: Callable[[], Status]) -> None:
        """`status` is called on any of them."""
        self._config = config
        self._status = status
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin to listen.

        Raises:
            ServiceError: the port cannot be had.
        """
        address, port = self._config.address, self._config.port
        try:
            self._server = _Server(address, port, self._status)
        except (OSError, UnicodeError) as error:
            raise ServiceError(_why(address, port, error)) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True
        )
        self._thread.start()
        logger.info("metrics", address=f"http://{_quoted(address)}:{port}/metrics")
        return self

    def __exit__(self, *exception: object) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(CLIENT_SECONDS)


def may_listen(config: Metrics) -> None:
    """See whether the port could be had, and leave it.

    Raises:
        ServiceError: it could not.
    """
    try:
        _Server(config.address, config.port, _nothing).server_close()
    except (OSError, UnicodeError) as error:
        raise ServiceError(_why(config.address, config.port, error)) from error


def _nothing() -> Status:
    raise ServiceError("nobody runs here")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: str, port: int, status: Callable[[], Status]) -> None:
        (family, _, _, _, place), *_ = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
        self.address_family = family
        self.status = status
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        super().__init__((str(place[0]), port), _Answer)

    def server_bind(self) -> None:
        # Not HTTPServer's: it asks a name server who we are, which may take long and is told to nobody.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "birdwatchd", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        too_long = threading.Timer(LONGEST_SECONDS, _hang_up, [request])
        too_long.daemon = True
        too_long.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            too_long.cancel()
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # One that hangs up is no fault of ours; anything else is in the answer's own hands.
        logger.debug("metrics were not read", client=str(client_address[0]))


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    timeout = CLIENT_SECONDS
    server_version, sys_version = "birdwatchd", ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        try:
            if path == "/metrics":
                body, content_type = scrape(self.server.status(), self.headers.get("Accept", ""))
                self._say(200, body, content_type)
            elif path == "/healthz":
                self._say_health(self.server.status())
            elif path == "/":
                self._say(200, INDEX, "text/plain; charset=utf-8")
            else:
                self._say(404, INDEX, "text/plain; charset=utf-8")
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            # The one place of this thread.
            logger.exception("metrics cannot be told")
            self._say(500, b"it failed, see the log\n", "text/plain; charset=utf-8")

    do_HEAD = do_GET  # noqa: N815 - as above

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as above
        logger.debug("metrics asked for", line=format % args)

    def _say_health(self, status: Status) -> None:
        body = {
            "status": "faulty" if status.faults else "well",
            "faults": status.faults,
            "warnings": status.warnings,
            "node": status.node,
            "version": status.version,
            "uptime_seconds": round(status.uptime_seconds, 1),
        }
        written = json.dumps(body, ensure_ascii=False).encode() + b"\n"
        self._say(503 if status.faults else 200, written, "application/json")

    def _say(self, code: int, body: bytes, content_type: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _hang_up(client: socket.socket) -> None:
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


def _quoted(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _why(address: str, port: int, error: Exception) -> str:
    place = f"{_quoted(address)}:{port}"
    if isinstance(error, socket.gaierror) or not isinstance(error, OSError):
        return f"metrics.address: there is no {address} at this machine; write one of its addresses, such as 127.0.0.1"
    match error.errno:
        case errno.EADDRINUSE:
            return f"metrics.port: {place} is taken by another program (`ss -tlnp` says which); choose another port"
        case errno.EACCES | errno.EPERM:
            return f"metrics.port: this user may not listen at {place}; choose a port above 1023"
        case errno.EADDRNOTAVAIL:
            return f"metrics.address: {address} is no address of this machine; write one that is, or 0.0.0.0 for all"
    return f"metrics: {place} cannot be listened at ({error.strerror}); choose another address or port"
