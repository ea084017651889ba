"""Entry points become kinds of action; a broken one is named, and hinders nobody."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, EntryPoints
from typing import TYPE_CHECKING

import pytest

from birdwatchd.actions import Action
from birdwatchd.actions.log import Log
from birdwatchd.config.load import load
from birdwatchd.dispatch import plugins
from birdwatchd.dispatch.plugins import BrokenPlugin, LeftOut, Plugins, schemas

if TYPE_CHECKING:
    from pathlib import Path

LAMP = """
from birdwatchd.actions import Action, ActionConfig
class Lamp(Action):
    class Config(ActionConfig):
        colour: str = "red"
    def run(self, detection, context): ...
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Third parties' plugins, one of them good."""
    sources = {
        "good": LAMP,
        "raising": "raise RuntimeError('no GPIO here')",
        "leaving": "import sys; sys.exit(1)",
        "wrong": "Lamp = 5",
        "unset": LAMP.replace("(ActionConfig)", ""),
    }
    for name, text in sources.items():
        (tmp_path / f"thirdparty_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint(name, f"thirdparty_{name}:Lamp", plugins.GROUP) for name in (*sources, "absent")]
    points += [
        EntryPoint("log", "birdwatchd.actions.log:Log", plugins.GROUP),
        EntryPoint("log", "thirdparty_good:Lamp", plugins.GROUP),
    ]
    monkeypatch.setattr(plugins, "entry_points", EntryPoints(points).select)
    for name in [name for name in sys.modules if name.startswith("thirdparty_")]:
        monkeypatch.delitem(sys.modules, name)


def test_our_own_are_entry_points_like_any_other() -> None:
    assert Plugins()["log"] is Log
    assert Plugins().is_built_in("log")
    assert Plugins().package("log").startswith("birdwatchd ")


@pytest.mark.usefixtures("installed")
def test_only_what_is_looked_up_is_imported() -> None:
    found = Plugins()
    assert list(found) == ["absent", "good", "leaving", "log", "raising", "unset", "wrong"]
    assert "good" in found
    assert "thirdparty_good" not in sys.modules
    assert issubclass(found["good"], Action)
    assert "thirdparty_raising" not in sys.modules


@pytest.mark.usefixtures("installed")
def test_nobody_replaces_our_own() -> None:
    assert Plugins()["log"] is Log


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("raising", "the action plugin raising cannot be imported: RuntimeError: no GPIO here"),
        ("leaving", "the action plugin leaving cannot be imported: SystemExit: 1"),
        ("absent", "the action plugin absent cannot be imported: ModuleNotFoundError: "),
        ("wrong", "the action plugin wrong (thirdparty_wrong:Lamp) is not a birdwatchd.actions.Action"),
        ("unset", "the action plugin unset: its Config is not a birdwatchd.actions.ActionConfig"),
    ],
)
def test_a_broken_plugin_is_named(kind: str, sentence: str) -> None:
    with pytest.raises(BrokenPlugin) as caught:
        Plugins()[kind]
    assert str(caught.value).startswith(sentence)


@pytest.mark.usefixtures("installed")
def test_the_config_that_names_a_broken_plugin_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "sources: [{kind: microphone, name: garden}]\n"
        "actions:\n"
        "  - {name: one, kind: raising, pin: 17, on: ended}\n"
        "  - {name: two, kind: good, colour: green}\n"
    )
    broken, good = load(path, {}, schemas()).config.actions
    assert isinstance(broken, LeftOut)
    assert (broken.name, broken.on) == ("one", "ended")
    assert "no GPIO here" in broken.why
    assert good.kind == "good"
