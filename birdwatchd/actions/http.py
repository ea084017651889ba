"""A client of HTTP servers, and what it says when there is no answer: never an address's secrets."""

from __future__ import annotations

import logging
import re
import socket
import ssl
from typing import TYPE_CHECKING, Annotated

import httpx
from pydantic import AfterValidator, SecretStr

from birdwatchd.actions import Postpone
from birdwatchd.config.kinds import Takes, refusal

if TYPE_CHECKING:
    from pathlib import Path

KEPT_ALIVE_SECONDS = 60.0
NOT_YOURS = {"content-length", "transfer-encoding", "connection"}
"""Headers that belong to the connection."""


def is_web_address(text: str) -> bool:
    """Whether a request could be made to it."""
    try:
        url = httpx.URL(text)
        url.host.encode("idna")
    except (httpx.InvalidURL, UnicodeError):
        return False
    return url.scheme in ("http", "https") and bool(url.host) and 0 < (url.port or 80) < 65536  # noqa: PLR2004 - ports


def _address(secret: SecretStr) -> SecretStr:
    if not is_web_address(secret.get_secret_value()):
        raise refusal("the address of a web server, such as https://example.org/birds")
    return secret


def _headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, secret in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or name.lower() in NOT_YOURS:
            raise ValueError("has a name that is no header's, or that of one which is not yours to set")
        # Otherwise it is found out when a request is made, and told with the secret in it.
        if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?|", secret.get_secret_value()):
            raise ValueError("has a value that is no header's: printable ASCII, without spaces around it")
    return headers


WebAddress = Annotated[SecretStr, AfterValidator(_address), Takes("the address of a web server")]
Headers = Annotated[dict[str, Annotated[SecretStr, Takes("text")]], AfterValidator(_headers)]


def open_client(timeout_seconds: float, *, ca: Path | None, verify: bool = True) -> httpx.Client:
    """A client that keeps its connections, and answers or raises within `timeout_seconds`.

    It follows no redirects. (A server that sends its answer byte by byte is up to the caller.)

    Raises:
        Postpone: `ca` cannot be read.
    """
    for name in ("httpx", "httpcore"):
        # They would write whole addresses and headers into the log.
        logging.getLogger(name).setLevel(logging.WARNING)
    timeout = httpx.Timeout(
        connect=timeout_seconds / 4,
        write=timeout_seconds / 8,
        read=timeout_seconds / 2,
        pool=timeout_seconds / 8,
    )
    return httpx.Client(
        verify=_trust(ca, verify=verify),
        timeout=timeout,
        limits=httpx.Limits(max_keepalive_connections=2, keepalive_expiry=KEPT_ALIVE_SECONDS),
        headers={"user-agent": "birdwatchd", "accept-encoding": "identity"},
    )


def server_of(address: SecretStr | httpx.URL) -> str:
    """The host, and the port where it says one: all of an address that may be told."""
    url = address if isinstance(address, httpx.URL) else httpx.URL(address.get_secret_value())
    return url.host if url.port is None else f"{url.host}:{url.port}"


def reach(address: SecretStr, seconds: float, *, ca: Path | None = None, verify: bool = True) -> str:
    """Connect to a server, with TLS where its address asks for it, and hang up: nothing is asked of it.

    Returns:
        What was found, in words.

    Raises:
        Postpone: it cannot be reached; or `ca` cannot be read.
    """
    url = httpx.URL(address.get_secret_value())
    server, port = server_of(url), url.port or (443 if url.scheme == "https" else 80)
    try:
        with socket.create_connection((url.host, port), seconds) as connection:
            if url.scheme != "https":
                return f"{server} answers"
            with _trust(ca, verify=verify).wrap_socket(connection, server_hostname=url.host) as secure:
                return f"{server} answers, with {secure.version()}"
    except TimeoutError:
        raise Postpone(f"{server} cannot be reached: it does not answer") from None
    except (OSError, UnicodeError) as error:
        raise Postpone(f"{server} cannot be reached: {_reason(error)}") from None


def why_no_answer(error: httpx.HTTPError, address: SecretStr) -> str:
    """In a sentence."""
    server = server_of(address)
    match error:
        case httpx.ConnectTimeout():
            return f"{server} cannot be reached: it does not answer"
        case httpx.TimeoutException():
            return f"{server} takes too long to answer"
        case httpx.ConnectError():
            return f"{server} cannot be reached: {_reason(error)}"
        case httpx.RemoteProtocolError() if "disconnected" not in str(error):
            return f"{server} does not speak HTTP"
        case httpx.RemoteProtocolError() | httpx.ReadError() | httpx.WriteError() | httpx.CloseError():
            return f"{server} hung up before it had answered"
        case _:
            return f"{server} was not asked: {type(error).__name__}"


def _reason(error: Exception) -> str:
    """`[Errno 111] Connection refused`, `[SSL: …] certificate verify failed: … (_ssl.c:1006)`: the words of it."""
    return re.sub(r"^\[[^\]]*\] ?| \(_ssl\.c:\d+\)", "", str(error)) or type(error).__name__


def _trust(ca: Path | None, *, verify: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        reason = _reason(error) if isinstance(error, ssl.SSLError) else error.strerror
        raise Postpone(f"the certificate {ca} cannot be read: {reason}") from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
