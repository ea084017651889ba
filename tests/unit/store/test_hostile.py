"""A clips folder in which somebody else has put files and links: nothing outside is touched, and nothing makes it fail."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from birdwatchd.config.schema import Retention as Limits
from birdwatchd.store.inside import delete_file, delete_folder
from birdwatchd.store.retention import Retention
from birdwatchd.store.shelf import Shelf, order

if TYPE_CHECKING:
    from pathlib import Path

OURS = {"birdwatchd": "1", "detection": {"scientific_name": "Parus major", "score": 0.9}}
NOW = 1_800_000_000.0
LONG_AGO = NOW - 100 * 86400
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["birdwatchd", "detection", "score", "scientific_name", "clip", "picture", "file"]
            ),
            inner,
        )
    ),
)


def clip(folder: Path, name: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.json", folder / f"{name}.flac"]
    files[0].write_text(json.dumps(OURS))
    files[1].write_bytes(b"sound")
    for file in files:
        os.utime(file, (LONG_AGO, LONG_AGO))
    return files


def tidy(folder: Path) -> None:
    """Everything is too old."""
    retention = Retention(folder, Limits(days=1, free_gigabytes=0), wall=lambda: NOW)
    retention.tidy()
    retention.tidy()  # what was not written since is known only now


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(JSON.map(lambda tree: json.dumps(tree).encode()) | st.binary(max_size=30), max_size=3))
@example(told=[b"[" * 100_000, b'{"birdwatchd": ' * 5000, b" " * 2_000_000 + b"{}"])
@example(told=[json.dumps({**OURS, "detection": {"score": float("nan")}}).encode()])
@example(told=[json.dumps({**OURS, "detection": {"score": 10**400}}).encode()])
@example(told=[json.dumps({**OURS, "clip": {"file": "../../x\0y"}}).encode()])
def test_sidecars_of_any_content(tmp_path: Path, told: list[bytes]) -> None:
    folder = tmp_path / "clips"
    folder.mkdir(exist_ok=True)
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    for number, content in enumerate(told):
        (folder / f"{number}.json").write_bytes(content)
        (folder / f"{number}.flac").write_bytes(b"sound")
    list(order(Shelf(folder).look().items))
    tidy(folder)
    assert outside.exists()


@pytest.mark.parametrize("kind", ["folder", "file", "sidecar"])
def test_nothing_is_deleted_through_a_link(tmp_path: Path, kind: str) -> None:
    folder, outside = tmp_path / "clips", tmp_path / "outside"
    theirs = clip(outside, "a")
    ours = clip(folder / "2026", "b")
    if kind == "folder":
        (folder / "2025").symlink_to(outside)
    elif kind == "file":
        (folder / "2026" / "b_1.jpg").symlink_to(theirs[1])
    else:
        (folder / "2026" / "a.json").symlink_to(theirs[0])
    tidy(folder)
    assert all(path.read_bytes() for path in theirs)
    assert not any(path.exists() for path in ours)


def test_a_folder_that_is_exchanged_for_a_link_at_the_last_moment_is_not_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "clips", tmp_path / "outside"
    (theirs, _), (ours, _) = clip(outside, "a"), clip(folder / "2026", "a")
    (folder / "2026").rename(tmp_path / "away")
    (folder / "2026").symlink_to(outside)
    with pytest.raises(OSError, match="2026"):
        delete_file(folder, ours)
    (outside / "empty").mkdir()
    with pytest.raises(OSError, match="2026"):
        delete_folder(folder, folder / "2026" / "empty")
    assert theirs.exists()
    assert (outside / "empty").exists()


def test_a_link_itself_is_deleted_and_what_is_gone_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    (tmp_path / "clips").mkdir()
    link = tmp_path / "clips" / "a"
    link.symlink_to(tmp_path / "kept")
    delete_file(tmp_path / "clips", link)
    delete_file(tmp_path / "clips", link)
    assert not link.is_symlink()
    assert (tmp_path / "kept").exists()


def test_what_somebody_else_keeps_there_stays(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    ours = clip(folder, "ours")
    others: dict[str, Any] = {"notes.json": b"{}", "notes.flac": b"x", "big.mkv": b"x", "list.txt": b"x"}
    for name, content in others.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (LONG_AGO, LONG_AGO))
    tidy(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(others)
    assert not any(path.exists() for path in ours)
