"""All that the daemon has to do with: what sounds, the broker and who subscribes there, a web server, a disk of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

import soundfile
import yaml
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.integration.mosquitto import PASSWORD, USER, Mosquitto
from tests.integration.soundserver import SoundServer
from tests.ports import free_port
from tests.soak.disk import Disk
from tests.soak.keeper import ROOT
from tests.soak.player import Player
from tests.soak.sound import RATE, Scene

if TYPE_CHECKING:
    import signal
    from pathlib import Path
    from types import TracebackType

    from tests.soak.clock import Clock


RECORDING = "attic"
"""A source that plays the same recording in every run of the daemon, and comes to its end."""
RECORDING_SECONDS = 300


class Child:
    """A program of ours that can be killed, frozen and started again."""

    def __init__(self, *words: str, environment: dict[str, str] | None = None) -> None:
        self._words = words
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT)} if environment is None else environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is None:
            self._process = subprocess.Popen(
                self._words, env=self._environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)


class Subscriber:
    """An independent subscriber with a session that the broker keeps: what it hears is the truth about MQTT."""

    def __init__(self, port: int, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self.heard: dict[tuple[str, str], int] = {}
        """How often, by detection and state."""
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id="soak-subscriber", protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.username_pw_set(USER, PASSWORD)
        self._client.on_connect = self._subscribe
        self._client.on_message = self._hear
        self._client.reconnect_delay_set(1, 1)
        kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho leaves it so
        kept.SessionExpiryInterval = 86_400
        self._client.connect("127.0.0.1", port, clean_start=False, properties=kept)
        self._client.loop_start()

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()
        self._file.close()

    def _subscribe(self, client: Client, *_: Any) -> None:
        client.subscribe([("birdwatchd/soak", 1), ("birdwatchd/soak/ended", 1)])

    def _hear(self, _: Client, __: object, message: MQTTMessage) -> None:
        payload = json.loads(message.payload)
        key = (payload["id"], payload["state"])
        self.heard[key] = self.heard.get(key, 0) + 1
        self._file.write(f"{' '.join(key)}\n")
        self._file.flush()


class World:
    """Use it as a context manager."""

    def __init__(self, folder: Path, clock: Clock, *, model: str, seed: int, microphone: bool) -> None:
        """`model` is `tiny` or `birdnet`; `microphone` adds a sound server, and its null sink as a microphone."""
        self.folder, self.clock, self.model = folder, clock, model
        self.streams = ["garden"] if microphone else ["garden", "pond"]
        self.sources = [*self.streams, *(["balcony"] if microphone else [])]
        self.scenes = {name: Scene(model, seed, name) for name in self.sources}
        self.recording = folder / f"{RECORDING}.flac"
        soundfile.write(
            self.recording, Scene(model, seed, RECORDING).sound(0, RECORDING_SECONDS * RATE), RATE
        )
        self._stack = contextlib.ExitStack()
        self.disk = folder / "disk"
        self.card = Disk(self.disk)
        for name in (*self.streams, "web"):
            self.mode(name, "ok")
        self.ports = {name: free_port() for name in self.streams}
        self.servers = {
            name: Child(
                *(sys.executable, "-m", "tests.soak.sound", str(port)),
                *(str(clock.path), model, str(seed), name),
            )
            for name, port in self.ports.items()
        }
        self.web_port = free_port()
        self.web = Child(sys.executable, "-m", "tests.soak.web", str(self.web_port), str(folder))
        (folder / "broker").mkdir(exist_ok=True)
        self.broker = Mosquitto(folder / "broker", persistent=True)
        self.broker_kills: list[float] = []
        """When the broker was killed, since the beginning."""
        self.player: Player | None = None
        self.sound_server: SoundServer | None = None
        if microphone:
            (folder / "sound").mkdir(exist_ok=True)
            self.sound_server = SoundServer(folder / "sound")
        self.subscriber: Subscriber

    @property
    def database(self) -> Path:
        """The daemon's."""
        return self.disk / "birdwatchd.sqlite"

    @property
    def clips(self) -> Path:
        """Where clips go."""
        return self.disk / "clips"

    def mode(self, name: str, mode: str) -> None:
        """Have a server behave."""
        part = self.folder / f"{name}.mode.part"
        part.write_text(mode)
        part.rename(self.folder / f"{name}.mode")

    def kill_broker(self) -> None:
        """End it at once."""
        self.broker.kill()
        self.broker_kills.append(self.clock.elapsed)

    @property
    def environment(self) -> dict[str, str]:
        """The daemon's."""
        sound = self.sound_server.environment if self.sound_server is not None else {}
        return {
            **sound,
            **self.clock.environment,
            **{k: v for k, v in sound.items() if k.startswith("PULSE")},
        }

    def __enter__(self) -> Self:
        stack = self._stack
        stack.enter_context(self.card)
        for child in (*self.servers.values(), self.web):
            child.start()
            stack.callback(child.kill)
        stack.enter_context(self.broker)
        self.subscriber = Subscriber(self.broker.port, self.folder / "mqtt.heard")
        stack.callback(self.subscriber.close)
        if self.sound_server is not None:
            stack.enter_context(self.sound_server)
            self.player = stack.enter_context(Player(self.sound_server, self.scenes["balcony"], self.clock))
        self.configure("on")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def configure(self, logged: str) -> None:
        """Write the config. `logged` names the log's action, the one thing that a reload changes."""
        sources: list[dict[str, Any]] = [
            {"kind": "stream", "name": name, "url": f"http://127.0.0.1:{port}/live.wav"}
            for name, port in self.ports.items()
        ]
        sources.append({"kind": "recording", "name": RECORDING, "path": str(self.recording), "start": "now"})
        if self.sound_server is not None:
            sources.append({"kind": "microphone", "name": "balcony"})
        config = {
            "node": "soak",
            "model": {"bundle": str(self.folder / "tiny.pt") if self.model == "tiny" else "birdnet"},
            "sources": sources,
            "deciding": {"only": [song.scientific_name for song in self._songs()]},
            "actions": [
                self.broker.settings(ended=True, discovery={"enabled": False}),
                {
                    "name": "server",
                    "kind": "webhook",
                    "on": "ended",
                    "url": f"http://127.0.0.1:{self.web_port}/",
                },
                {"name": "keep", "kind": "save_clip", "on": "ended", "picture": False},
                {
                    "name": "program",
                    "kind": "command",
                    "argv": ["/usr/bin/tee", "-a", str(self.folder / "program.ran")],
                },
                {"name": f"log-{logged}", "kind": "log"},
            ],
            "store": {
                "database": str(self.database),
                "clips_folder": str(self.clips),
                "retention": {"gigabytes": 0.06, "free_gigabytes": 0.01},
            },
        }
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))

    def _songs(self) -> set[Any]:
        from tests.soak.sound import SONGS

        return set(SONGS[self.model])
