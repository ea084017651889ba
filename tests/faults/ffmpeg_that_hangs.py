"""A stand-in for an ffmpeg that hangs and cannot be asked to end: two seconds of sound in real time, then nothing, for ever."""

from __future__ import annotations

import signal
import sys
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(20):
    sys.stdout.buffer.write(b"\x40\x00" * 4800)
    sys.stdout.buffer.flush()
    time.sleep(0.1)
while True:
    time.sleep(60)
