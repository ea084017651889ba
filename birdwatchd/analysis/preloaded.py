"""What all workers have in common, imported by the server that they are forked from, and by nobody else.

The server only imports: torch would not survive a fork once it was used, as it has threads then.
"""

from __future__ import annotations

from birdwatchd.model.importing import importing_torch

with importing_torch():
    import birdwatchd.analysis.worker
    import birdwatchd.model.network  # noqa: F401
