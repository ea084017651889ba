"""How much this process has written to disks: what wears a memory card."""

from __future__ import annotations

from pathlib import Path

ACCOUNT = Path("/proc/self/io")


def written_bytes() -> int | None:
    """Bytes that this process, and children of it that have ended, gave to disks so far: rows, clips, pictures, backups.

    Linux counts them when a page is changed in its cache, so that a page that is changed twice before it is written may
    count twice; memory disks do not count. None where the system does not tell.
    """
    try:
        lines = ACCOUNT.read_text().splitlines()
    except OSError:
        return None
    counts = dict(line.split(": ") for line in lines if ": " in line)
    try:
        # Files that were deleted before they were written cost nothing.
        return max(0, int(counts["write_bytes"]) - int(counts["cancelled_write_bytes"]))
    except (KeyError, ValueError):
        return None
