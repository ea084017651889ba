"""The order in which a reload exchanges things; tests/integration/test_reload.py has the daemon that does it."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from birdwatchd.blueprint import Blueprint
from birdwatchd.config.load import load
from birdwatchd.dispatch.context import Surroundings
from birdwatchd.dispatch.links import Links
from birdwatchd.dispatch.plugins import schemas
from birdwatchd.errors import ServiceError
from birdwatchd.reload import reload
from tests.rows import detection

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
model:
  bundle: {bundle}
deciding:
  species_range:
    enabled: false
sources:
  - name: garden
    kind: microphone
web:
  port: {port}
  public_url: https://{name}.example
"""


@pytest.mark.parametrize(("can_move", "linked"), [(True, "pond"), (False, "wood")])
def test_no_message_links_to_a_page_that_could_not_move(
    tmp_path: Path, tiny_bundle: Path, *, can_move: bool, linked: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(bundle=tiny_bundle, port=8080, name="wood"))
    before = Blueprint.draw(load(path, actions=schemas()))
    nothing: Any = None
    surroundings = Surroundings(
        "run-1", "wood", None, UTC, tmp_path, nothing, nothing, nothing, Links.of(before.config)
    )
    links: list[str] = []

    def employ(_actions: object, now: Surroundings) -> None:
        links.append(now.links.page(detection(0)).partition("/detection/")[0])

    def show(config: Any) -> None:
        if config != before.config.web and not can_move:
            raise ServiceError("the port is taken")

    # What a reload does not touch here is not there: this is about two of its parts.
    running = MagicMock(blueprint=before, surroundings=surroundings, sources=[], described={})
    running.desk.employ, running.page.show = employ, show
    path.write_text(CONFIG.format(bundle=tiny_bundle, port=8081, name="pond"))
    assert reload(running, path) is can_move
    assert links == [f"https://{linked}.example"]
    web = running.blueprint.config.web
    assert web.public_url.rstrip("/") == f"https://{linked}.example"
