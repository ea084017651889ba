"""Where the labelled recordings lie that some tests use. They are not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("BIRDWATCHD_SHARED", Path(__file__).parents[2] / "shared")) / "data"

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"no labelled recordings at {SHARED} (set BIRDWATCHD_SHARED)"
)
