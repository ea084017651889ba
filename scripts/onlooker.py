"""Somebody else in the house: a subscriber that writes down every MQTT message, and a broker where there is none.

    python scripts/onlooker.py FOLDER [HOST[:PORT]]

Once it listens, FOLDER/broker says where: host and port, in one line. Each message becomes a line of FOLDER/mqtt.jsonl. Without
HOST it starts a broker of its own, for this machine only, on a free port. MQTT_USERNAME and MQTT_PASSWORD log in to yours.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

TOPICS = "birdwatchd/demo/#"
HERE = "127.0.0.1"
PLAIN_PORT = 1883
ANSWER_SECONDS = 10.0


async def main() -> int:
    """Listen until SIGTERM."""
    folder, address = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""  # noqa: PLR2004 - see the usage
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if address:
        return await listen(*place(address), folder, stop)
    from amqtt.broker import Broker

    logging.getLogger("amqtt").setLevel(logging.CRITICAL)  # a subscriber that leaves is no news here
    port = free_port()
    anybody = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker({"listeners": {"default": {"type": "tcp", "bind": f"{HERE}:{port}"}}, "plugins": anybody})
    await broker.start()
    try:
        return await listen(HERE, port, folder, stop)
    finally:
        await broker.shutdown()


async def listen(host: str, port: int, folder: Path, stop: asyncio.Event) -> int:
    """Subscribe, say so, and write down what comes."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=f"birdwatchd-demo-onlooker-{os.getpid()}")
    client.username_pw_set(os.environ.get("MQTT_USERNAME"), os.environ.get("MQTT_PASSWORD"))
    loop, answered = asyncio.get_running_loop(), asyncio.Event()
    refused: list[str] = []

    def connected(client: Client, _: object, __: object, reason: ReasonCode, ___: object) -> None:
        if reason.is_failure:
            refused.append(str(reason))
            loop.call_soon_threadsafe(answered.set)
        else:
            client.subscribe(TOPICS, qos=1)

    def subscribed(*_: object) -> None:
        loop.call_soon_threadsafe(answered.set)

    client.on_connect = connected
    client.on_subscribe = subscribed
    with (folder / "mqtt.jsonl").open("w", encoding="utf-8", buffering=1) as file:

        def write(_: Client, __: object, message: MQTTMessage) -> None:
            line = {
                "topic": message.topic,
                "received": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "payload": message.payload.decode(),
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

        client.on_message = write
        client.connect_async(host, port)
        client.loop_start()
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(answered.wait(), ANSWER_SECONDS)
            if refused or not answered.is_set():
                why = f" ({refused[0]})" if refused else ""
                print(
                    f"demo: there is no MQTT broker to be had at {host}:{port}{why}; is it right?",
                    file=sys.stderr,
                )
                return 2
            told = folder / "broker.part"
            told.write_text(f"{host} {port}\n", encoding="utf-8")
            told.rename(folder / "broker")
            await stop.wait()
            return 0
        finally:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)


def place(address: str) -> tuple[str, int]:
    """Host and port."""
    host, _, port = address.partition(":")
    return host, int(port or PLAIN_PORT)


def free_port() -> int:
    """One that nobody listens at just now."""
    with socket.create_server((HERE, 0)) as server:
        port: int = server.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
