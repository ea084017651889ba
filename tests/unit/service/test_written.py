"""What is said of the bytes that went to disks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from birdwatchd.service import written
from birdwatchd.service.written import written_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def file_on_a_disk() -> Iterator[Path]:
    """Not in /tmp, which may be memory."""
    path = Path(__file__).parent / f".written-{os.getpid()}"
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.skipif(not written.ACCOUNT.exists(), reason="this system does not count what a process writes")
def test_what_is_written_is_counted(file_on_a_disk: Path) -> None:
    before = written_bytes()
    assert before is not None
    with file_on_a_disk.open("wb") as file:
        file.write(os.urandom(1_000_000))
        os.fsync(file.fileno())
    after = written_bytes()
    assert after is not None
    if after == before:
        pytest.skip("the tests lie on a memory disk")
    assert 1_000_000 <= after - before < 1_500_000


@pytest.mark.parametrize("told", [None, "", "rchar: 1\n", "write_bytes: many\ncancelled_write_bytes: 0\n"])
def test_where_the_system_does_not_tell_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None
) -> None:
    monkeypatch.setattr(written, "ACCOUNT", tmp_path / "io")
    if told is not None:
        (tmp_path / "io").write_text(told)
    assert written_bytes() is None


def test_what_was_deleted_before_it_was_written_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written, "ACCOUNT", tmp_path / "io")
    (tmp_path / "io").write_text("wchar: 9\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n")
    assert written_bytes() == 4096
