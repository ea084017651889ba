"""What is said when there is no answer: a page to people, JSON to programs."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match

from birdwatchd.errors import StoreError
from birdwatchd.web.rendering import page

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from starlette.responses import Response

WORDS = {
    HTTPStatus.NOT_FOUND: "There is no such page here.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This cannot be done with this address.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "That is a fault of birdwatchd. Its log says more.",
}


def tell_troubles(app: FastAPI) -> None:
    """Answer for what is raised; the guard answers for the rest."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
        status = HTTPStatus(error.status_code)
        said = WORDS.get(status, str(error.detail)) if error.detail == status.phrase else str(error.detail)
        headers = dict(error.headers or {})
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(sorted(_methods(request)))
        return trouble(request, status, said, headers)

    async def misasked(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
        said = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
        return trouble(request, HTTPStatus.UNPROCESSABLE_ENTITY, said)

    async def unreadable(request: Request, error: Exception) -> Response:
        return trouble(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, misasked)
    app.add_exception_handler(StoreError, unreadable)


def _methods(request: Request) -> set[str]:
    """What can be done with the address: several routes may have it, a method each."""
    path = _below(request)
    found: set[str] = set()
    for prefix, route in request.app.state.routes:
        scope = {"type": "http", "method": "GET", "path": path.removeprefix(prefix)}
        if path.startswith(prefix) and route.matches(scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    found = found or {"GET"}  # files
    return found | {"HEAD"} if "GET" in found else found


def _below(request: Request) -> str:
    return request.url.path.removeprefix(request.scope.get("root_path", ""))


def trouble(
    request: Request, status: HTTPStatus, said: str, headers: dict[str, str] | None = None
) -> Response:
    """The answer; `said` is a sentence for people."""
    if _below(request).startswith("/api/"):
        return JSONResponse({"detail": said}, status, headers)
    answer = page(
        request,
        "trouble.html",
        status=status,
        code=status.value,
        phrase=status.phrase.capitalize(),
        said=said,
    )
    answer.headers.update(headers or {})
    return answer
