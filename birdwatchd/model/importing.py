"""torch is imported in here, by whoever needs it first."""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def importing_torch() -> Iterator[None]:
    """Python's collector rests, where torch is not there yet.

    It would look through all of torch again and again while that grows, which is a tenth of the time; and at every full
    collection later on, which in a process that was forked writes to pages that it shares. What a module consists of is
    never garbage.
    """
    if "torch" in sys.modules or not gc.isenabled():
        # What is there by now, such as a model that is about to be replaced, has to be found once it is garbage.
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
