"""Looking at processes."""

from __future__ import annotations

from pathlib import Path


def lives(pid: int) -> bool:
    """A zombie is as good as gone: an orphan's body is its new parent's to bury."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
