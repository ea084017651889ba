"""What workers need: a database, and pauses that are short."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from birdwatchd.dispatch import verdict

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of hundredths of a second."""
    monkeypatch.setattr(verdict, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(verdict, "SHORTEST_PAUSE_SECONDS", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"
