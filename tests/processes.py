"""Looking at processes."""

from __future__ import annotations

import contextlib
from pathlib import Path


def lives(pid: int) -> bool:
    """A zombie is as good as gone: an orphan's body is its new parent's to bury."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(parent: int, word: str) -> list[int]:
    """The process ids of a process's living children whose command line has this word."""
    found = []
    for listing in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(
            FileNotFoundError, ProcessLookupError
        ):  # a thread, or a child, that ends just now
            for pid in map(int, listing.read_text().split()):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    if word in Path(f"/proc/{pid}/cmdline").read_text(errors="replace"):
                        found.append(pid)
    return found
