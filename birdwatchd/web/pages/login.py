"""Login and logout."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from birdwatchd.config.plain import plain
from birdwatchd.web.password import LONGEST, Busy
from birdwatchd.web.reading import TheHouse
from birdwatchd.web.rendering import page
from birdwatchd.web.sessions import LIFE_SECONDS
from birdwatchd.web.visitor import cookie_name
from birdwatchd.web.words import span

router = APIRouter(default_response_class=HTMLResponse)
Next = Annotated[str, Form(max_length=2000)]

logger = structlog.get_logger()


@router.get("/login")
def ask(request: Request, house: TheHouse, next: str = "/") -> Response:  # noqa: A002 - as the address has it
    """The form; one who need not log in goes on."""
    config = house.config().web
    if config is None or config.password is None or request.state.visitor.kind == "session":
        return _go_to(request, next)
    return _form(request, next)


@router.post("/login")
def enter(
    request: Request,
    house: TheHouse,
    password: Annotated[str, Form(max_length=LONGEST)],
    name: Annotated[str, Form(max_length=64)] = "",
    next: Next = "/",  # noqa: A002 - as the form has it
) -> Response:
    """Look at the password."""
    config = house.config().web
    if config is None or config.password is None:
        return _go_to(request, next)
    known, client = config.password.get_secret_value(), request.client.host if request.client else ""
    try:
        is_right = request.app.state.doorkeeper.lets_in(client, password, known)
    except Busy as busy:
        logger.warning("login refused", client=client, reason="too many wrong passwords")
        wait = f"Too many wrong passwords: wait {span(math.ceil(busy.seconds))}, then try again."
        answer = _form(request, next, wait, HTTPStatus.TOO_MANY_REQUESTS)
        answer.headers["Retry-After"] = str(math.ceil(busy.seconds))
        return answer
    if not is_right:
        logger.warning("login refused", client=client, reason="wrong password")
        return _form(request, next, "That is not the password.", HTTPStatus.UNAUTHORIZED)
    called = plain(" ".join(name.split()))
    logger.info("login", client=client, name=called)
    gone = _go_to(request, next)
    gone.set_cookie(
        cookie_name(config),
        request.app.state.sessions.begin(called, known),
        max_age=round(LIFE_SECONDS),
        path=f"{config.prefix}/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return gone


@router.post("/logout")
def leave(request: Request, house: TheHouse) -> Response:
    """The session is over."""
    config = house.config().web
    gone = _go_to(request, "/login")
    if config is not None:
        cookie = cookie_name(config)
        request.app.state.sessions.end(request.cookies.get(cookie, ""))
        gone.delete_cookie(cookie, path=f"{config.prefix}/")
    return gone


def _form(request: Request, wanted: str, said: str = "", status: HTTPStatus = HTTPStatus.OK) -> HTMLResponse:
    return page(request, "login.html", status=status, title="Log in", wanted=wanted, said=said)


def _go_to(request: Request, wanted: str) -> RedirectResponse:
    """Only to what is our own: a browser takes `//elsewhere` and a backslash for another site."""
    is_own = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}{wanted if is_own else '/'}", HTTPStatus.SEE_OTHER)
