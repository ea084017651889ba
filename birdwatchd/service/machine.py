"""What the machine says of the process and of itself: memory, descriptors, disks, the clock. None where it does not say."""

from __future__ import annotations

import ctypes
import os
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_TIME_ERROR = 5
"""What adjtimex returns while nothing keeps the clock right."""
_TIMEX_BYTES = 512
"""More than the kernel's `struct timex` has on any machine."""
TIMESYNC = Path("/run/systemd/timesync/synchronized")
"""systemd's own time service makes it once it has the time; a service without the right to ask the kernel sees it too."""


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """What the process takes."""

    pid: int
    memory_bytes: int | None
    """Resident."""
    threads: int
    descriptors: int | None
    cpu_seconds: float
    """Of all threads, since it began."""


def process() -> ProcessStatus:
    """What this process takes now."""
    return ProcessStatus(
        pid=os.getpid(),
        memory_bytes=_memory_bytes(),
        threads=threading.active_count(),
        descriptors=_descriptors(),
        cpu_seconds=time.process_time(),
    )


def free_bytes(path: Path) -> int | None:
    """What is left for this user on the disk that holds `path`, or will."""
    for place in (path, *path.absolute().parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def file_bytes(path: Path) -> int | None:
    """What a database takes, its log included."""
    try:
        size = path.stat().st_size
    except OSError:
        return None
    for suffix in ("-wal", "-shm"):
        try:
            size += path.with_name(path.name + suffix).stat().st_size
        except OSError:
            continue  # it has none just now
    return size


def clock_is_synchronised() -> bool | None:
    """Does something (NTP, GPS) keep the system clock right?"""
    if TIMESYNC.exists():
        return True
    try:
        kernel = ctypes.CDLL(None, use_errno=True)
        state = kernel.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # zeroed: it only asks
    except (OSError, AttributeError):
        return None
    # The service's unit may not even ask: that is -1, and no answer.
    return None if state < 0 else state != _TIME_ERROR


def _memory_bytes() -> int | None:
    try:
        resident = Path("/proc/self/statm").read_text().split()[1]
    except (OSError, IndexError):
        return None
    return int(resident) * os.sysconf("SC_PAGE_SIZE")


def _descriptors() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return None
