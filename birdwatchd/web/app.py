"""The app: pages, API and files of its own, behind the guard."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from birdwatchd import __version__
from birdwatchd.web import api, pages
from birdwatchd.web.guard import Guard
from birdwatchd.web.heads import Heads
from birdwatchd.web.live import Live
from birdwatchd.web.openapi import describing
from birdwatchd.web.password import Doorkeeper
from birdwatchd.web.rendering import STATIC, make_templates
from birdwatchd.web.sessions import Sessions
from birdwatchd.web.troubles import tell_troubles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from fastapi import APIRouter

    from birdwatchd.web.house import House

API = "/api/v1"


def create_app(house: House) -> FastAPI:
    """Everything that can be asked of the house over HTTP."""
    app = FastAPI(
        title="birdwatchd",
        version=__version__,
        description="What was heard at this station, and how it does.",
        docs_url=None,  # the usual pages load their programs from elsewhere
        redoc_url=None,
        openapi_url=f"{API}/openapi.json",
    )
    database = house.database
    sessions = Sessions(database.with_name(f"{database.name}.sessions"))
    app.state.house, app.state.sessions, app.state.doorkeeper = house, sessions, Doorkeeper()
    app.state.live, app.state.ending = Live(house), asyncio.Event()
    app.state.templates = make_templates()
    app.state.routes = []
    for prefix, package in (("", pages), (API, api)):
        for router in _routers(package):
            app.include_router(router, prefix=prefix, include_in_schema=bool(prefix))
            app.state.routes += [(prefix, route) for route in router.routes]
    app.state.paths = {prefix + getattr(route, "path", "") for prefix, route in app.state.routes}
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.openapi = describing(app)  # type: ignore[method-assign] # as FastAPI's manual has it
    tell_troubles(app)
    app.add_middleware(Guard, house=house, sessions=sessions)
    app.add_middleware(Heads)
    return app


def _routers(package: ModuleType) -> Iterator[APIRouter]:
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        router: APIRouter = importlib.import_module(found.name).router
        yield router
