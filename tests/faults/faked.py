"""birdwatchd on a clock that libfaketime fakes: `python -m tests.faults.faked run -c CONFIG`."""

from __future__ import annotations

import runpy
import select
import time

# libfaketime takes the deadline of clock_nanosleep for one by the date, which it has changed; select has none.
time.sleep = lambda seconds: select.select([], [], [], float(seconds))  # type: ignore[assignment]

runpy.run_module("birdwatchd", run_name="__main__", alter_sys=True)
