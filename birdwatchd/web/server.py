"""The port of the page: a server on a thread of its own, begun and ended as the config says."""

from __future__ import annotations

import errno
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

import structlog

from birdwatchd.errors import ServiceError

if TYPE_CHECKING:
    from birdwatchd.config.schema import Web
    from birdwatchd.web.house import House

STARTING_SECONDS = 30.0
ENDING_SECONDS = 5.0
"""How long those who look just now may take to go."""
WAITING, AT_ONCE = 128, 200
"""Connections: so many may wait to be taken, and so many are held; more are told to come later."""
LONGEST_SAID = 65536
"""Bytes of a WebSocket's message to us."""

logger = structlog.get_logger()


class Server:
    """Answers while it is entered."""

    def __init__(self, config: Web, house: House) -> None:
        self._config = config
        self._house = house
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin to listen.

        Raises:
            ServiceError: the port cannot be had, or what it takes is not installed.
        """
        try:
            import uvicorn

            from birdwatchd.web.app import create_app
            from birdwatchd.web.serving import Serving
        except ImportError as error:
            raise ServiceError(_missing(error)) from error
        place = listen(self._config)
        app = create_app(self._house)
        self._server = Serving(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="websockets-sansio",
                # Noise cannot be made smaller, and trying costs more than all the rest.
                ws_per_message_deflate=False,
                ws_max_size=LONGEST_SAID,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
                limit_concurrency=AT_ONCE,
                forwarded_allow_ips=list(self._config.proxies),
            ),
            app.state.ending,
        )
        self._thread = threading.Thread(target=self._server.run, args=([place],), name="web", daemon=True)
        self._thread.start()
        logger.info("page", address=self._config.url)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join(ENDING_SECONDS)


class Page:
    """The page as the config wants it: at its port, at another, or not at all. For one thread at a time."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._server: Server | None = None
        self._config: Web | None = None

    def __enter__(self) -> Self:
        """Show it as the config says.

        Raises:
            ServiceError: it cannot be.
        """
        self.show(self._house.config().web)
        return self

    def __exit__(self, *exception: object) -> None:
        self.show(None)

    def show(self, config: Web | None) -> None:
        """Show it so from now on; who looks just now has to come again.

        Raises:
            ServiceError: it cannot be, and nothing is shown.
        """
        if config == self._config and (self._server is None) == (config is None):
            return
        if self._server is not None:
            self._server.__exit__(None, None, None)
            self._server = None
        self._config = config
        if config is not None:
            self._server = Server(config, self._house).__enter__()


def may_listen(config: Web) -> None:
    """See whether the page could be shown there, and leave the port.

    Raises:
        ServiceError: it could not.
    """
    try:
        import birdwatchd.web.app  # noqa: F401 - whether it can be
    except ImportError as error:
        raise ServiceError(_missing(error)) from error
    listen(config).close()


def listen(config: Web) -> socket.socket:
    """The port, taken.

    Raises:
        ServiceError: it cannot be had.
    """
    try:
        (family, _, _, _, place), *_ = socket.getaddrinfo(
            config.address, config.port, type=socket.SOCK_STREAM
        )
        return socket.create_server((str(place[0]), config.port), family=family, backlog=WAITING)
    except (OSError, UnicodeError) as error:
        raise ServiceError(_why(config, error)) from error


def _missing(error: ImportError) -> str:
    return (
        f"web: the page needs packages that are not installed ({error.name}); run `pip install 'birdwatchd[web]'`, "
        "or take the section out"
    )


def _quoted(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _why(config: Web, error: Exception) -> str:
    address, place = config.address, f"{_quoted(config.address)}:{config.port}"
    if isinstance(error, socket.gaierror) or not isinstance(error, OSError):
        return f"web.address: there is no {address} at this machine; write one of its addresses, such as 127.0.0.1"
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"web.port: {place} is taken by another program (`ss -tlnp` says which); choose another port"
            )
        case errno.EACCES | errno.EPERM:
            return f"web.port: this user may not listen at {place}; choose a port above 1023"
        case errno.EADDRNOTAVAIL:
            return (
                f"web.address: {address} is no address of this machine; write one that is, or 0.0.0.0 for all"
            )
    return f"web: {place} cannot be listened at ({error.strerror}); choose another address or port"
