"""Pages out of templates: everything that they show is escaped, and every link begins with the prefix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from starlette.responses import HTMLResponse

from birdwatchd import __version__
from birdwatchd.config.rules import is_local
from birdwatchd.web import words
from birdwatchd.web.navigation import ENTRIES

if TYPE_CHECKING:
    from fastapi import Request

    from birdwatchd.config.schema import Web

HERE = Path(__file__).parent
STATIC = HERE / "static"


def make_templates() -> jinja2.Environment:
    """The templates, with the filters of words.py that need no zone."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    for tell in (
        words.span,
        words.size,
        words.share,
        words.percent,
        words.count,
        words.score,
        words.level,
        words.many,
        words.coded,
    ):
        environment.filters[tell.__name__] = tell
    return environment


def _is_open(config: Web | None) -> bool:
    return config is not None and config.password is None and is_local(config.address)


def page(request: Request, template: str, *, status: int = 200, **shown: Any) -> HTMLResponse:
    """The answer to a request for a page.

    A template gets what is given here, and: `words` (times in the site's zone), `house`, `visitor`, `csrf`,
    `to(path)` for every link and file of our own, `node`, `here` (the request's path below the prefix), `version`.
    """
    app, house = request.app, request.app.state.house
    config, root = house.config(), request.scope.get("root_path", "")
    visitor = request.state.visitor
    text = app.state.templates.get_template(template).render(
        words=words.Words(house.zone()),
        house=house,
        node=config.node,
        visitor=visitor,
        csrf=visitor.csrf,
        to=lambda path: f"{root}{path}",
        here=request.url.path.removeprefix(root),
        navigation=ENTRIES if visitor.kind == "session" or _is_open(config.web) else (),
        version=__version__,
        **shown,
    )
    return HTMLResponse(text, status)
