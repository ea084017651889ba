"""Ports of this machine for tests to listen at."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

FIRST = 10_000
SHARE = 2_000
"""So many are there for each worker of the tests, to be had in turn."""
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_turns = itertools.count(os.getpid() * 7)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens at.

    It is below those that the system gives to who does not care which: until somebody listens at it, it is nobody else's.
    """
    below = _lowest_given()
    for turn in _turns:
        port = FIRST + (_worker * SHARE + turn % SHARE) % (below - FIRST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError  # the turns never end


def _lowest_given() -> int:
    try:
        told = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    except OSError:
        return 32_768
    return max(FIRST + SHARE, int(told.split()[0]))
