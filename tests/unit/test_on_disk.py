"""What a power cut does not take away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from birdwatchd.on_disk import whole

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("lasting", [True, False])
def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path, *, lasting: bool) -> None:
    path = tmp_path / "folder" / ("a long name " * 21)
    with whole(path, lasting=lasting) as file:
        file.write(b"first")
        assert not path.exists()
    with whole(path, lasting=lasting) as file:
        file.write(b"second")
        file.flush()
        assert path.read_bytes() == b"first"
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("end", [OSError, KeyboardInterrupt])
def test_a_file_that_is_not_written_to_its_end_leaves_what_was_there(
    tmp_path: Path, end: type[BaseException]
) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(b"the old one")

    def half() -> None:
        with whole(path) as file:
            file.write(b"half of the new o")
            raise end

    with pytest.raises(end):
        half()
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]
