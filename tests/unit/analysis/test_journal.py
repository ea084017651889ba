"""The resume file survives whatever a crash leaves of it, and mixes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdwatchd.analysis.findings import Findings, WindowRow
from birdwatchd.analysis.journal import Journal
from birdwatchd.errors import UserError
from tests.unit.analysis.test_outputs import ROW

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = {"hop_seconds": 1.5, "deciding": {"threshold": 0.7, "only": []}}
WINDOW = WindowRow("a", 0.0, 6.0, "Parus major", "Great Tit", 0.5)
FOUND = [
    Findings(f"{number}.wav", 60.0, 48000, (ROW,), (WINDOW,), complaint="cut off") for number in range(3)
]


def test_findings_come_back_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.resume"
    with Journal(path, SETTINGS, resume=False) as journal:
        for key in (2, 0, 1):
            journal.add(str(key), FOUND[key])
        assert list(journal.findings(["0", "1", "2"])) == FOUND
    with Journal(path, SETTINGS, resume=True) as journal:
        assert "1" in journal
        assert "3" not in journal
        assert list(journal.findings(["2", "3", "1"])) == [FOUND[2], FOUND[1]]
        journal.remove()
    assert not path.exists()


@settings(deadline=None)
@given(cut=st.integers(0, 5000))
def test_wherever_a_crash_cuts_it_the_whole_lines_count(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "a.resume"
    with Journal(path, SETTINGS, resume=False) as journal:
        for key, found in enumerate(FOUND):
            journal.add(str(key), found)
    content = path.read_bytes()
    cut %= len(content) + 1
    path.write_bytes(content[:cut])
    whole = max(0, content[:cut].count(b"\n") - 1)
    with Journal(path, SETTINGS, resume=True) as journal:
        assert [str(key) in journal for key in range(3)] == [key < whole for key in range(3)]
        for key in range(whole, 3):
            journal.add(str(key), FOUND[key])
    assert path.read_bytes() == content


def test_without_resume_nothing_that_was_found_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.resume"
    Journal(path, SETTINGS, resume=False).__exit__(None, None, None)
    with pytest.raises(UserError, match="go on with --resume, or delete it"):
        Journal(path, SETTINGS, resume=False)


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.resume"
    Journal(path, SETTINGS, resume=False).__exit__(None, None, None)
    other = {"hop_seconds": 3.0, "deciding": {"threshold": 0.7, "only": ["x"]}}
    with pytest.raises(UserError, match=r"other settings \(deciding.only, hop_seconds\)"):
        Journal(path, other, resume=True)


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.resume"
    with Journal(path, SETTINGS, resume=False), pytest.raises(UserError, match="is in use"):
        Journal(path, SETTINGS, resume=True)


@pytest.mark.parametrize("content", ["my notes\n", "my notes", '{"a": 1}\n', "[]\n"])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.resume"
    path.write_text(content)
    with pytest.raises(UserError, match="is no resume file"):
        Journal(path, SETTINGS, resume=True)
    assert path.read_text() == content


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        Journal(tmp_path / "absent" / "a.resume", SETTINGS, resume=False)
