"""A real datagram socket in systemd's place."""

from __future__ import annotations

import os
import secrets
import socket
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from birdwatchd.service.systemd import Systemd, Watchdog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Reader:
    """Where systemd reads."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def messages(self) -> list[str]:
        """All that has come since the last call."""
        came = []
        while True:
            try:
                came.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return came

    def close(self) -> None:
        self._socket.close()


class Getting:
    """A daemon that gets on, or does not."""

    def __init__(self) -> None:
        self.standstill = ""
        self.words = "listening to garden"
        self.patience = 0.0

    def hangs(self, now: float, patience_seconds: float) -> str:
        self.patience = patience_seconds
        return self.standstill

    def in_words(self) -> str:
        return self.words


@pytest.fixture(params=["path", "abstract"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    abstract = f"@birdwatchd-{secrets.token_hex(4)}"
    reader = Reader(str(tmp_path / "notify") if request.param == "path" else abstract)
    yield reader
    reader.close()


def of(reader: Reader, **more: str) -> Systemd:
    systemd = Systemd.of_environment({"NOTIFY_SOCKET": reader.address, **more})
    assert systemd is not None
    return systemd


def test_systemd_hears_of_a_life(reader: Reader) -> None:
    systemd = of(reader)
    systemd.ready()
    systemd.alive()
    systemd.stopping()
    systemd.close()
    ready, alive, stopping = reader.messages()
    assert (ready, alive) == ("READY=1", "WATCHDOG=1")
    assert stopping.startswith("STOPPING=1\nSTATUS=")


def test_a_status_is_one_line_and_said_when_it_changes(reader: Reader) -> None:
    systemd = of(reader)
    for text in ("listening", "listening", "pond is away\nREADY=1"):
        systemd.status(text)
    assert reader.messages() == ["STATUS=listening", "STATUS=pond is away READY=1"]
    systemd.close()


def test_without_a_socket_there_is_nobody_to_tell() -> None:
    assert Systemd.of_environment({}) is None
    assert Systemd.of_environment({"NOTIFY_SOCKET": "vsock:2:1"}) is None


def test_children_do_not_inherit_the_socket(reader: Reader) -> None:
    environment = {"NOTIFY_SOCKET": reader.address, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
    systemd = Systemd.of_environment(environment)
    assert systemd is not None
    systemd.close()
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_only_when_systemd_says_so(
    reader: Reader, variables: dict[str, str], seconds: float | None
) -> None:
    systemd = of(reader, **variables)
    assert systemd.watchdog_seconds == seconds
    systemd.close()


def test_a_systemd_that_is_gone_ends_nothing(reader: Reader) -> None:
    systemd = of(reader)
    reader.close()
    systemd.ready()
    systemd.alive()
    systemd.close()


def fed(reader: Reader) -> int:
    return reader.messages().count("WATCHDOG=1")


def test_the_watchdog_is_fed_at_half_its_time(reader: Reader) -> None:
    systemd, getting, now = of(reader, WATCHDOG_USEC="60000000"), Getting(), 0.0
    watchdog = Watchdog(systemd, getting, monotonic=lambda: now)  # type: ignore[arg-type] # it is asked two things
    fed_at = []
    for tenth in range(1000):
        now = tenth / 10
        watchdog.turn()
        if fed(reader):
            fed_at.append(now)
    assert fed_at[0] == 0
    assert all(28 <= later - sooner <= 30 for sooner, later in pairwise(fed_at))
    assert fed_at[-1] >= 70
    assert getting.patience == 30
    systemd.close()


def test_a_daemon_that_stands_still_is_not_fed_and_says_why(reader: Reader) -> None:
    systemd, getting, now = of(reader, WATCHDOG_USEC="60000000"), Getting(), 0.0
    watchdog = Watchdog(systemd, getting, monotonic=lambda: now)  # type: ignore[arg-type] # as above
    watchdog.turn()
    assert reader.messages() == ["STATUS=listening to garden", "WATCHDOG=1"]
    getting.standstill = "the pipeline has not turned for 31 s"
    for second in range(1, 200):
        now = float(second)
        watchdog.turn()
    assert reader.messages() == ["STATUS=the pipeline has not turned for 31 s"]
    getting.standstill = ""
    now += 1
    watchdog.turn()
    assert reader.messages() == ["STATUS=listening to garden", "WATCHDOG=1"]
    systemd.close()


def test_without_a_watchdog_only_the_status_is_told(reader: Reader) -> None:
    systemd, now = of(reader), 0.0
    watchdog = Watchdog(systemd, Getting(), monotonic=lambda: now)  # type: ignore[arg-type] # as above
    for second in range(100):
        now = float(second)
        watchdog.turn()
    assert reader.messages() == ["STATUS=listening to garden"]
    systemd.close()


def test_a_reload_is_told_as_systemd_wants_it(reader: Reader) -> None:
    systemd = Systemd(reader.address)
    before = time.monotonic_ns() // 1000
    systemd.reloading()
    systemd.ready()
    after = time.monotonic_ns() // 1000
    first, last = reader.messages()
    reloading, moment = first.split("\n")
    assert (reloading, last) == ("RELOADING=1", "READY=1")
    assert before <= int(moment.removeprefix("MONOTONIC_USEC=")) <= after
    systemd.close()
