"""The app: pages, API and files of its own, behind the guard."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from birdwatchd import __version__
from birdwatchd.web import api, pages
from birdwatchd.web.guard import Guard
from birdwatchd.web.rendering import STATIC, make_templates
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
    app.state.house = house
    app.state.templates = make_templates()
    for router in _routers(pages):
        app.include_router(router, include_in_schema=False)
    for router in _routers(api):
        app.include_router(router, prefix=API)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    tell_troubles(app)
    app.add_middleware(Guard, house=house)
    return app


def _routers(package: ModuleType) -> Iterator[APIRouter]:
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        router: APIRouter = importlib.import_module(found.name).router
        yield router
