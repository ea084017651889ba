"""Which recordings are analysed, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from birdwatchd.analysis.files import find
from birdwatchd.errors import RecordingError

if TYPE_CHECKING:
    from pathlib import Path


def test_paths_in_their_order_and_folders_in_that_of_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.wav", "b/1.FLAC", "b/notes.txt", "b/.hidden.wav", "a.wav", "odd.name"):
        (tmp_path / name).write_bytes(b"x")
    found = find([tmp_path / "odd.name", tmp_path / "b", tmp_path])
    assert [file.path.name for file in found] == ["odd.name", "1.FLAC", "2.wav", "a.wav"]
    assert found[0].size == 1
    assert found[0].modified_ns > 0


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="absent does not exist"):
        find([tmp_path, tmp_path / "absent"])


def test_nothing_to_analyse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="there are no recordings"):
        find([tmp_path])


def test_a_link_to_nothing_is_left_to_whoever_opens_it(tmp_path: Path) -> None:
    (tmp_path / "a.wav").symlink_to(tmp_path / "gone.wav")
    (file,) = find([tmp_path])
    assert file.size == 0
