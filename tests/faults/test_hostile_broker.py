"""A broker that sends rubbish: the connection ends each time, and comes back each time."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from typing import TYPE_CHECKING, Literal, Self

import pytest

from birdwatchd.actions import mqtt_absence
from birdwatchd.actions.mqtt_link import Link, Message
from birdwatchd.actions.mqtt_settings import MqttConfig
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS = 80
COMMANDS = (0x20, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0)


def frame(command: int, body: bytes) -> bytes:
    length, rest = b"", len(body)
    while True:
        rest, low = divmod(rest, 128)
        length += bytes([low | (0x80 if rest else 0)])
        if not rest:
            return bytes([command]) + length + body


def rubbish(chance: random.Random) -> bytes:
    """What no broker should send, or only nearly."""
    some = chance.randbytes(chance.randrange(40))
    status = b"\0\x14homeassistant/status"
    return chance.choice(
        [
            some,
            frame(0x30 | chance.randrange(16), some),
            frame(chance.choice(COMMANDS), some[:10]),
            frame(0x30, b"\0\5\xff\xfe\xfd\xfc\xfb\0x"),
            frame(0x30, status + b"\0" + b"[" * 10_000),
            frame(0x30, status + b"\xff\xff\xff\xff\x7fonline"),
            frame(0x30, b"\xff\xff" + some),
            b"\x30\xff\xff\xff\xff\xff",
        ]
    )


class HostileBroker:
    """Stands for a broker: accepts anybody, sends rubbish, and hangs up."""

    def __init__(self, connack: bytes) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        self._connack = connack
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        chance = random.Random(1)
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listening.accept()
                self.connections += 1
                with caller, contextlib.suppress(OSError):
                    caller.settimeout(1)
                    caller.recv(4096)
                    caller.sendall(self._connack)
                    for _ in range(chance.randrange(1, 5)):
                        caller.sendall(rubbish(chance))
                    time.sleep(0.02)  # for what was sent to be read before the end is

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.mark.parametrize(
    ("protocol", "connack"), [("5", frame(0x20, b"\0\0\0")), ("3.1.1", frame(0x20, b"\0\0"))]
)
def test_rubbish_ends_a_connection_and_nothing_else(
    protocol: Literal["5", "3.1.1"], connack: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_absence, "PAUSE_SECONDS", (0.01, 0.02))
    heard: list[tuple[str, bytes, bool]] = []
    with HostileBroker(connack) as broker:
        settings = MqttConfig(name="m", kind="mqtt", host="127.0.0.1", port=broker.port, protocol=protocol)
        greet: Callable[[], None] = lambda: link.subscribe(["homeassistant/status"])  # noqa: E731 - it is made below
        link = Link(
            settings,
            "wood",
            will=Message("birdwatchd/wood/status", b"offline"),
            on_connected=greet,
            on_message=lambda *message: heard.append(message),
        )
        link.start()
        try:
            wait_until(lambda: broker.connections >= CONNECTIONS, "it comes back each time", seconds=120)
        finally:
            link.stop(Message("birdwatchd/wood/status", b"offline"))
    # Some of it was messages, as far as MQTT goes.
    assert heard
