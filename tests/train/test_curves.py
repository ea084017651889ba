"""The picture of a training that goes on."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from birdwatchd.errors import UserError
from train.curves import Curves

if TYPE_CHECKING:
    from pathlib import Path


def test_is_drawn_at_once_then_not_at_every_epoch_and_holds_the_last_in_the_end(tmp_path: Path) -> None:
    picture = tmp_path / "curves.png"
    curves = Curves(picture)
    history = [{"epoch": 1.0, "loss": 1.0}]
    curves.follow(history)
    first = picture.read_bytes()
    history.append({"epoch": 2.0, "loss": 0.5})
    curves.follow(history)
    assert picture.read_bytes() == first
    curves.draw()
    assert picture.read_bytes() != first


def test_nothing_is_drawn_of_a_training_that_went_on_no_further(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "curves.png")
    curves.draw()
    assert not (tmp_path / "curves.png").exists()


def test_matplotlib_is_said_to_be_missing_only_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = Curves(tmp_path / "curves.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", ModuleType("half imported, as memory was short"))
    with pytest.raises(ImportError, match="Figure"):
        curves.follow([{"epoch": 1.0, "loss": 1.0}])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match=r"matplotlib, which draws the curves, is missing: pip install"):
        curves.follow([{"epoch": 1.0, "loss": 1.0}])
