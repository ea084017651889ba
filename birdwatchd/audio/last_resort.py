"""When to leave the process to systemd: what reopening and starting PortAudio afresh did not mend, a new process may."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birdwatchd.audio.source import Source

PATIENCE_SECONDS = 60.0
"""With nothing else to be heard. A sound server that is restarted, or a machine that swaps, is back by then."""
PATIENCE_WITH_OTHERS_SECONDS = 900.0
"""While other sources are heard, which a restart would interrupt."""


def reason_to_leave(sources: Sequence[Source]) -> str:
    """Which source only a new process can help, and why, once it has waited long enough; empty as a rule."""
    heard = any(not source.fault and not source.finished for source in sources)
    patience = PATIENCE_WITH_OTHERS_SECONDS if heard else PATIENCE_SECONDS
    for source in sources:
        if source.fault and getattr(source, "helpless_seconds", 0.0) > patience:
            return f"{source.name}: {source.fault}"
    return ""
