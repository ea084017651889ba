"""The guard: around everything that can be asked, it looks who comes, and sends every answer with what keeps it safe."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import RedirectResponse, Response

from birdwatchd.web.door import LOGIN, LoginFirst, Refused, refuse_other_sites, visitor
from birdwatchd.web.troubles import WORDS, trouble
from birdwatchd.web.visitor import Visitor

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from birdwatchd.web.house import House
    from birdwatchd.web.sessions import Sessions

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, and nothing from elsewhere."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SAFE = {"GET", "HEAD", "OPTIONS"}
MOST_BYTES = 65536
"""Of what a request brings along."""

logger = structlog.get_logger()


class Guard:
    """WebSockets and files included: nothing is answered without it."""

    def __init__(self, app: ASGIApp, house: House, sessions: Sessions) -> None:
        self._app = app
        self._house = house
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        is_socket, started = scope["type"] == "websocket", False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "private, no-cache")
            await send(message)

        try:
            let_in = await self._let_in(scope, receive)
            if not isinstance(let_in, Response):
                await self._app(scope, let_in, send_guarded)
            elif is_socket:
                await send({"type": "websocket.close", "code": 1008, "reason": ""})
            else:
                await let_in(scope, receive, send_guarded)
        except ClientDisconnect:
            logger.debug("somebody hung up", path=scope["path"])
        except Exception:
            # The one place of this thread.
            logger.exception("a page cannot be shown", path=scope["path"])
            if started or is_socket:
                raise
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            await trouble(Request(scope), status, WORDS[status])(scope, receive, send_guarded)

    async def _let_in(self, scope: Scope, receive: Receive) -> Receive | Response:
        """What the request brings along, for whoever is to read it; or the answer why there is none."""
        config = self._house.config().web
        path = _below(config.prefix if config is not None else "", scope)
        state = scope.setdefault("state", {})
        state["visitor"] = Visitor("nobody", csrf=self._sessions.csrf(""))
        if config is None:
            said = "The page was taken out of the config."
            return _refusal(scope, Refused(HTTPStatus.SERVICE_UNAVAILABLE, said))
        connection = HTTPConnection(scope)
        try:
            state["visitor"] = known = visitor(connection, path, config, self._sessions)
            state["is_welcome"] = lambda: self._is_welcome(connection, path, known)
            if scope["type"] == "websocket":
                refuse_other_sites(connection, known)
            elif scope["method"] not in SAFE:
                return await self._genuine(Request(scope, receive), known)
        except Refused as refused:
            return _refusal(scope, refused)
        except LoginFirst:
            return _to_login(scope, path)
        return receive

    def _is_welcome(self, connection: HTTPConnection, path: str, known: Visitor) -> bool:
        """Whether he would be let in now, too, who was let in a while ago: an answer without an end asks again and again."""
        config = self._house.config().web
        try:
            return config is not None and visitor(connection, path, config, self._sessions) == known
        except (Refused, LoginFirst):
            return False

    async def _genuine(self, request: Request, visitor: Visitor) -> Receive:
        """See that something is changed by a page of ours, and give its body to whoever is to read it.

        Raises:
            Refused: another site may have sent it, or it is too long.
        """
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_BYTES:
                raise Refused(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {MOST_BYTES} bytes are taken at a time."
                )
        if visitor.kind != "token":
            brought = request.headers.get("X-CSRF-Token", "")
            if not brought and "urlencoded" in request.headers.get("Content-Type", ""):
                brought = parse_qs(body.decode("latin-1")).get("csrf", [""])[0]
            if not hmac.compare_digest(brought.encode(), visitor.csrf.encode()):
                raise Refused(
                    HTTPStatus.FORBIDDEN,
                    "This did not come from a page of this station, or the page was too old: load it again.",
                )
        pieces: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]
        further = request.receive

        async def receive() -> Message:
            return pieces.pop() if pieces else await further()

        return receive


def _below(prefix: str, scope: Scope) -> str:
    """The path below the prefix, whether or not the proxy has taken that away."""
    path: str = scope["path"]
    if prefix and f"{path}/".startswith(f"{prefix}/"):
        path = path.removeprefix(prefix)
    scope["root_path"], scope["path"] = prefix, f"{prefix}{path or '/'}"
    return path or "/"


def _refusal(scope: Scope, refused: Refused) -> Response:
    return trouble(Request({**scope, "type": "http"}), refused.status, refused.said, refused.headers)


def _to_login(scope: Scope, path: str) -> Response:
    query = scope.get("query_string", b"").decode("latin-1")
    wanted = f"{path}?{query}" if query else path
    there = "" if wanted == "/" else f"?next={quote(wanted, safe='/')}"
    return RedirectResponse(f"{scope['root_path']}{LOGIN}{there}", HTTPStatus.SEE_OTHER)
