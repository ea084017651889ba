"""What all workers have in common, imported by the server that they are forked from, and by nobody else.

The server only imports: torch would not survive a fork once it was used, as it has threads then.
"""

from __future__ import annotations

import gc

# The collector would look through all of torch again and again while it grows, which is a tenth of the time; and
# later in each worker, which writes to pages that they share.
gc.disable()

import birdwatchd.analysis.worker  # noqa: E402
import birdwatchd.model.network  # noqa: E402, F401

gc.freeze()
gc.enable()
