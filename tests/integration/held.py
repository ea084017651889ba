"""`birdwatchd analyze` that waits in its middle. Arguments: after how many files, and those of birdwatchd.

It goes on when it is given a line, or nothing more can come. Named a fake: everything but the wait is as it is.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from birdwatchd.__main__ import main
from birdwatchd.analysis.journal import Journal

if TYPE_CHECKING:
    from birdwatchd.analysis.findings import Findings

if __name__ == "__main__":
    files = int(sys.argv.pop(1))
    add, kept = Journal.add, list[str]()

    def add_and_wait(self: Journal, key: str, findings: Findings) -> None:
        add(self, key, findings)
        kept.append(key)
        if len(kept) == files:
            sys.stdin.readline()

    Journal.add = add_and_wait  # type: ignore[method-assign]
    main()
