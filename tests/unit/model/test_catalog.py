from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from birdwatchd.errors import BundleError
from birdwatchd.model.catalog import bundles, find, models_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    models_folder().mkdir(parents=True)
    return models_folder()


def test_a_bundle_is_found_by_name_and_by_path(folder: Path) -> None:
    (folder / "mine.pt").touch()
    assert find("mine") == folder / "mine.pt"
    assert find(str(folder / "mine.pt")) == folder / "mine.pt"


def test_a_path_may_start_at_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    (folder / "mine.pt").touch()
    assert find("~/mine.pt") == folder / "mine.pt"


@pytest.mark.usefixtures("folder")
def test_the_usual_model_missing_tells_how_to_make_it() -> None:
    with pytest.raises(BundleError, match="make it with `birdwatchd model build birdnet`"):
        find("birdnet")


def test_a_misspelt_name_is_answered_with_the_right_one(folder: Path) -> None:
    (folder / "birdnet.pt").touch()
    with pytest.raises(BundleError, match="did you mean 'birdnet'"):
        find("birdnte")
    with pytest.raises(BundleError, match="there are: birdnet"):
        find("zzz")


def test_a_wrong_path_is_refused(folder: Path) -> None:
    with pytest.raises(BundleError, match=f"no model bundle at {folder / 'none.pt'}"):
        find(str(folder / "none.pt"))


def test_bundles_are_listed_without_those_half_written(folder: Path) -> None:
    for name in ("b.pt", "a.pt", ".a.pt.part", ".hidden.pt", "notes.txt"):
        (folder / name).touch()
    assert [path.name for path in bundles()] == ["a.pt", "b.pt"]


def test_no_models_folder_means_no_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    assert bundles() == []


def test_a_bundle_whose_hash_is_written_down_is_that_file_or_refused(tiny_bundle: Path) -> None:
    right = hashlib.sha256(tiny_bundle.read_bytes()).hexdigest()
    assert find(str(tiny_bundle), right) == find(str(tiny_bundle), right.upper()) == tiny_bundle
    with pytest.raises(
        BundleError, match=rf"is not the file that model\.sha256 names: its sha-256 is {right}"
    ):
        find(str(tiny_bundle), "0" * 64)
