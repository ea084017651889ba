"""Clips to be kept or to give way."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from birdwatchd.store.retention import DAY_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

NOW = time.time()


def keep(
    folder: Path,
    stem: str,
    size: int = 1000,
    *,
    species: str = "Parus major",
    days: float = 0,
    **changes: Any,
) -> Path:
    """A clip of so many bytes, `days` old."""
    path = folder / f"{stem}.flac"
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {
        "birdwatchd": "0.1.0",
        "detection": {"scientific_name": species, "score": changes.get("score", 0.9)},
        "reviewed": changes.get("reviewed", False),
    }
    sidecar = path.with_name(f"{path.name.removesuffix('.flac')}.json")
    sidecar.write_text(json.dumps(said))
    path.write_bytes(bytes(size - sidecar.stat().st_size))
    for file in (path, sidecar):
        os.utime(file, (NOW - days * DAY_SECONDS,) * 2)
    return path
