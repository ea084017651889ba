"""A daemon that is told to stop before it listens: it ends there and then, and in order."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.blueprint import Blueprint
from birdwatchd.config.load import load
from birdwatchd.daemon import run
from birdwatchd.dispatch.plugins import schemas
from birdwatchd.pipeline import Listeners
from birdwatchd.running import Running
from birdwatchd.store.database import Database
from tests.looping import Tape

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = """\
model:
  bundle: {bundle}
deciding:
  species_range:
    enabled: false
store:
  database: birds.sqlite
sources:
  - name: garden
    kind: microphone
  - name: pond
    kind: microphone
"""


def then_told_to_stop(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step of the start during which SIGTERM comes."""

    def told(*arguments: Any, **settings: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return step(*arguments, **settings)

    return told


@pytest.mark.parametrize(
    ("owner", "step", "opened", "runs"),
    [
        (Database, "open_or_renew", [], 0),
        (Blueprint, "classifier", [], 1),
        (Running, "open", ["garden"], 1),
    ],
)
def test_a_stop_during_the_start_is_obeyed_after_the_step(  # noqa: PLR0917 - a case has so many parts
    tmp_path: Path,
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    step: str,
    opened: list[str],
    runs: int,
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(bundle=tiny_bundle))
    found: list[str] = []

    def source(_self: object, described: Any, _wake: object, **_settings: Any) -> Tape:
        found.append(described.name)
        return Tape(described.name)  # there is no sound card here

    monkeypatch.setattr(Blueprint, "source", source)
    monkeypatch.setattr(owner, step, then_told_to_stop(getattr(owner, step)))
    listening: list[Any] = []
    assert run(load(path, actions=schemas()), Listeners(), listening.append)
    assert (found, listening) == (opened, [])
    with Database.open(tmp_path / "birds.sqlite", read_only=True) as database:
        rows = database.rows("SELECT ended_utc FROM runs")
    assert len(rows) == runs
    assert all(row["ended_utc"] for row in rows)
