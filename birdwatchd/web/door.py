"""The door: who may ask for what."""

from __future__ import annotations

import hmac
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from birdwatchd.config.rules import is_local
from birdwatchd.web.visitor import Visitor, cookie_name

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from birdwatchd.config.schema import Web
    from birdwatchd.web.sessions import Sessions

LOGIN, STATIC, API = "/login", "/static/", "/api/"


class Refused(Exception):  # noqa: N818 - it says what happened
    """One may not have it; `said` is a sentence."""

    def __init__(self, status: HTTPStatus, said: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(said)
        self.status, self.said, self.headers = status, said, headers


class LoginFirst(Exception):  # noqa: N818 - as above
    """One may have it who has given the password."""


def visitor(connection: HTTPConnection, path: str, config: Web, sessions: Sessions) -> Visitor:
    """Who asks.

    Raises:
        Refused: he may not have this.
        LoginFirst: he may, once he has given the password.
    """
    kind, _, token = connection.headers.get("Authorization", "").partition(" ")
    if kind.casefold() == "bearer" and path.startswith(API):
        return Visitor("token", _owner(token.strip(), config))
    nobody = Visitor("nobody", csrf=sessions.csrf(""))
    if config.password is None:
        if path.startswith(STATIC):
            return nobody
        if not is_local(config.address):
            raise _closed(path)
        _refuse_other_names(connection, config)
        return nobody
    cookie = connection.cookies.get(cookie_name(config), "")
    session = sessions.find(cookie, config.password.get_secret_value()) if cookie else None
    if session is not None:
        return Visitor("session", session.name, sessions.csrf(cookie))
    if path == LOGIN or path.startswith(STATIC):
        return nobody
    if path.startswith(API):
        raise _closed(path)
    if connection.scope.get("method") not in {"GET", "HEAD"}:
        raise Refused(HTTPStatus.UNAUTHORIZED, "You are not logged in, or not any more: log in again.")
    raise LoginFirst


def _owner(token: str, config: Web) -> str:
    digest = sha256(token.encode()).hexdigest()
    for name, known in config.tokens.items():
        if hmac.compare_digest(digest, known.get_secret_value()):
            return name
    raise Refused(
        HTTPStatus.UNAUTHORIZED,
        "There is no such token; make one with `birdwatchd web token`.",
        {"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


def _closed(path: str) -> Refused:
    if path.startswith(API):
        return Refused(
            HTTPStatus.UNAUTHORIZED,
            "A token is needed: `Authorization: Bearer …` (docs/web.md).",
            {"WWW-Authenticate": "Bearer"},
        )
    return Refused(
        HTTPStatus.FORBIDDEN,
        "There is no password for this page, so only the API can be asked, with a token.",
    )


def _refuse_other_names(connection: HTTPConnection, config: Web) -> None:
    """Without a password any web page could ask, under a name that it has pointed at this machine (DNS rebinding)."""
    name = _host(connection.headers.get("Host", ""))
    if not is_local(name) and name != config.address.casefold():
        raise Refused(
            HTTPStatus.MISDIRECTED_REQUEST,
            "Without a password this page answers to 127.0.0.1 and localhost only, and to no other name.",
        )


def refuse_other_sites(connection: HTTPConnection, visitor: Visitor) -> None:
    """A browser lets any site open a WebSocket, but says which one it is. A session's cookie is not sent for others."""
    origin = connection.headers.get("Origin")
    if origin is None or visitor.kind != "nobody":
        return
    own = {connection.headers.get("Host", ""), connection.headers.get("X-Forwarded-Host", "")}
    site = urlsplit(origin).netloc  # empty where a page has no site, such as one in a closed frame
    if not site or site not in own:
        raise Refused(HTTPStatus.FORBIDDEN, "This is not for other sites.")


def _host(address: str) -> str:
    try:
        return (urlsplit(f"//{address}").hostname or "").casefold()
    except ValueError:
        return ""
