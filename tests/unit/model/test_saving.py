from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest

from birdwatchd.errors import BundleError
from birdwatchd.model.bundle import read_card
from tests.tiny import CARD, LABELS, build_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


def test_a_bundle_is_written_into_a_new_folder_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = build_tiny_bundle(tmp_path / "new" / "tiny.pt")
    assert read_card(path).name == "tiny"
    assert [file.name for file in path.parent.iterdir()] == ["tiny.pt"]


def test_a_network_that_does_not_fit_its_card_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="3 outputs for 2 labels"):
        build_tiny_bundle(tmp_path / "a.pt", card=dataclasses.replace(CARD, labels=LABELS[:2]))
    assert list(tmp_path.iterdir()) == []


def test_an_old_bundle_survives_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build_tiny_bundle(tmp_path / "tiny.pt")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundleError, match=r"tiny.pt cannot be written \(No space left on device\)"):
        build_tiny_bundle(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.pt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match=r"file/a.pt cannot be written"):
        build_tiny_bundle(tmp_path / "file" / "a.pt")
