"""A real Mosquitto on a free port, with a password file or with TLS and its own authority; and mosquitto_sub."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tests.integration.program import Program
from tests.integration.waiting import wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
USER, PASSWORD = "birds", "a secret: ü"


def missing() -> str:
    """Why there can be no broker here; empty when there can."""
    tools = ("mosquitto_sub", "mosquitto_passwd", "openssl")
    if MOSQUITTO is None or not all(map(shutil.which, tools)):
        return "no Mosquitto: apt-get install mosquitto mosquitto-clients openssl"
    return ""


class Authority:
    """A certificate authority in a folder, and the certificates that it signs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca = folder / "ca.crt"
        self._openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=birdwatchd test authority", "-days", "2"),
        )

    def issue(self, name: str, *, days: int = 2) -> tuple[Path, Path]:
        """A certificate for localhost and 127.0.0.1, and its key. It has expired where `days` is negative."""
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self._openssl(
            *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", f"{name}.key", "-out", request.name, "-subj", f"/CN={name}"),
        )
        self._openssl(
            *("x509", "-req", "-in", request.name, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.crt", "-days", str(days), "-extfile", extensions.name),
        )
        return self._folder / f"{name}.crt", self._folder / f"{name}.key"

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self._folder, check=True, capture_output=True, timeout=60)


@dataclass
class Mosquitto(Program):
    """One broker; `kill` and `start` again keep the port and what was persisted."""

    folder: Path
    persistent: bool = False
    """What is retained or queued survives `kill`; it writes its whole database at every message then."""
    certificate: tuple[Path, Path] | None = None
    """Certificate and key: then it speaks TLS."""
    rules: Path | None = None
    """Who may do what (its `acl_file`)."""
    authority: Path | None = None
    """Whose clients' certificates it wants; none when left out."""
    port: int = field(default_factory=free_port)

    def settings(self, **changes: Any) -> dict[str, Any]:
        """What the action's config says to reach it."""
        return {
            "name": "tell-home",
            "kind": "mqtt",
            "host": "localhost",
            "port": self.port,
            "username": USER,
            "password": PASSWORD,
            **changes,
        }

    def start(self) -> None:
        assert MOSQUITTO is not None
        passwords = self.folder / "passwords"
        if not passwords.exists():
            words = ["mosquitto_passwd", "-b", "-c", str(passwords), USER, PASSWORD]
            subprocess.run(words, check=True, capture_output=True, timeout=60)
        lines = [
            "user root",
            "allow_anonymous false",
            f"password_file {passwords}",
            f"log_dest file {self.folder / 'log'}",
            f"listener {self.port} 127.0.0.1",
        ]
        if self.persistent:
            lines[3:3] = ["persistence true", f"persistence_location {self.folder}/"]
            lines[3:3] = ["autosave_interval 1", "autosave_on_changes true"]
        if self.rules is not None:
            lines += [f"acl_file {self.rules}"]
        if self.certificate is not None:
            lines += [f"certfile {self.certificate[0]}", f"keyfile {self.certificate[1]}"]
        if self.authority is not None:
            lines += [f"cafile {self.authority}", "require_certificate true"]
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)
        wait_until(self._answers, "Mosquitto starts")

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """As somebody else."""
        words = ["mosquitto_pub", *self._words(), "-q", "1", "-t", topic, "-m", payload]
        subprocess.run([*words, "-r"] if retain else words, check=True, timeout=60)

    def subscriber(self, *topics: str, session: str = "") -> Subscriber:
        """An independent subscriber, perhaps one that comes back. When this returns it has heard all that waited for it."""
        return Subscriber([*self._words(), *_session(session)], topics)

    def leave_session(self, session: str, *topics: str) -> None:
        """Subscribe and go away: the broker keeps what comes."""
        words = ["mosquitto_sub", *self._words(), *_session(session), "-q", "1", "-E"]
        subprocess.run(
            [*words, *(word for topic in topics for word in ("-t", topic))], check=True, timeout=60
        )

    def _words(self) -> list[str]:
        return ["-h", "localhost", "-p", str(self.port), "-u", USER, "-P", PASSWORD, "-V", "5"]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _session(name: str) -> list[str]:
    return ["-i", name, "-c", "-x", "3600"] if name else []


class Heard(NamedTuple):
    """One message, as mosquitto_sub shows it."""

    retained: bool
    topic: str
    payload: str


class Subscriber:
    """mosquitto_sub, and what it has heard so far, in order."""

    def __init__(self, words: list[str], topics: tuple[str, ...]) -> None:
        chosen = [word for topic in (*topics, "$SYS/broker/version") for word in ("-t", topic)]
        self._process = subprocess.Popen(
            ["mosquitto_sub", *words, "-q", "1", "-F", "%r\t%t\t%p", *chosen],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._all: list[Heard] = []
        self._subscribed = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(lambda: self._subscribed, "mosquitto_sub is subscribed")

    def heard(self, topic: str | None = None) -> list[Heard]:
        """All messages, or those of one topic."""
        return [one for one in list(self._all) if topic is None or one.topic == topic]

    def wait_for(self, topic: str, count: int = 1, seconds: float = 90.0) -> list[Heard]:
        """The messages of a topic, once there are so many."""
        wait_until(lambda: len(self.heard(topic)) >= count, f"{count} messages on {topic}", seconds)
        return self.heard(topic)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            retained, topic, payload = line.rstrip("\n").split("\t", 2)
            if topic.startswith("$SYS/"):
                # Retained, and asked for last: whatever else is retained has been shown.
                self._subscribed = True
            else:
                self._all.append(Heard(retained == "1", topic, payload))
