"""Pictures for tests."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image


def picture(kind: str = "JPEG", size: tuple[int, int] = (320, 240)) -> bytes:
    """Noise, always the same."""
    noise = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    out = BytesIO()
    Image.fromarray(noise).save(out, kind)
    return out.getvalue()
