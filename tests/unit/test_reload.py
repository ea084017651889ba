"""The order in which a reload exchanges things; tests/integration/test_reload.py has the daemon that does it."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from birdwatchd.blueprint import Blueprint
from birdwatchd.config.load import load
from birdwatchd.dispatch.context import Surroundings
from birdwatchd.dispatch.links import Links
from birdwatchd.dispatch.plugins import schemas
from birdwatchd.errands import Ended
from birdwatchd.errors import ServiceError
from birdwatchd.places import Places
from birdwatchd.reload import reload
from birdwatchd.running import Running
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


def surroundings_of(blueprint: Blueprint, folder: Path) -> Surroundings:
    nothing: Any = None
    return Surroundings(
        "run-1", "wood", None, UTC, folder, nothing, nothing, nothing, Links.of(blueprint.config)
    )


@pytest.mark.parametrize(("can_move", "linked"), [(True, "pond"), (False, "wood")])
def test_no_message_links_to_a_page_that_could_not_move(
    tmp_path: Path, tiny_bundle: Path, *, can_move: bool, linked: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(bundle=tiny_bundle, port=8080, name="wood"))
    before = Blueprint.draw(load(path, actions=schemas()))
    surroundings = surroundings_of(before, tmp_path)
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


def test_a_reload_that_the_end_overtakes_begins_nothing_more(tmp_path: Path, tiny_bundle: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(bundle=tiny_bundle, port=8080, name="wood"))
    before = Blueprint.draw(load(path, actions=schemas()))
    surroundings = surroundings_of(before, tmp_path)
    running = MagicMock(blueprint=before, surroundings=surroundings, sources=[], described={})
    path.write_text(CONFIG.format(bundle=tiny_bundle, port=8080, name="wood").replace("garden", "pond"))
    answers = iter([True, True])  # it ends while the new rules are taken up, and with them all that is quick
    assert not reload(running, path, lambda: next(answers, False))
    running.desk.employ.assert_called_once()
    running.open.assert_not_called()


def test_a_source_that_opens_after_the_end_is_closed_again(tmp_path: Path, tiny_bundle: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(bundle=tiny_bundle, port=8080, name="wood"))
    blueprint = Blueprint.draw(load(path, actions=schemas()))
    source = MagicMock()
    source.name = "garden"
    drawn: Any = MagicMock(wraps=blueprint, config=blueprint.config)
    drawn.source = MagicMock(return_value=source)
    left = Places()
    left.__exit__(None, None, None)
    parts = {field.name: MagicMock() for field in fields(Running) if field.init}
    running = Running(**{**parts, "blueprint": drawn, "capture": left})
    with pytest.raises(Ended):
        running.open(blueprint.config.sources[0], patient=True)
    assert [call[0] for call in source.method_calls] == ["start", "stop"]
