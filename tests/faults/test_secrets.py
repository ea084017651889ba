"""A secret in every place that can hold one, servers that tell it back, and a daemon that is killed at the end: it turns up nowhere."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import soundfile

from tests.integration.test_run import BIRDWATCHD, RATE, noise, tone
from tests.integration.waiting import wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg: apt-get install ffmpeg")

PLACES = (
    *(
        "STREAM_PASSWORD",
        "STREAM_QUERY",
        "STREAM_HEADER",
        "AWAY_PASSWORD",
        "MQTT_PASSWORD",
        "HOOK_PATH",
        "HOOK_HEADER",
    ),
    *("HOOK_KEY", "SNAPSHOT_PASSWORD", "SNAPSHOT_QUERY", "VIDEO_PASSWORD", "NOTIFY_PASSWORD", "NOTIFY_PATH"),
    *("COMMAND_VARIABLE", "UNUSED_VARIABLE"),
)
CANARIES = {place: f"canary-{place.lower().replace('_', '-')}-7Qx2" for place in PLACES}
CREDENTIAL = "canary-credential-7Qx2"
CONFIG = """\
node: wood
model: {{bundle: {bundle}}}
sources:
  - {{name: garden, kind: recording, path: {folder}/garden.wav, start: now}}
  - name: pond
    kind: stream
    url: rtsp://me:${{STREAM_PASSWORD}}@127.0.0.1:{silent}/1?key=${{STREAM_QUERY}}
    ffmpeg_options: [-user_agent, birds]
    stall_seconds: 600
  - name: radio
    kind: stream
    url: http://127.0.0.1:{silent}/x
    ffmpeg_options: [-headers, "X-Key: ${{STREAM_HEADER}}"]
    stall_seconds: 600
  - {{name: away, kind: stream, url: "rtsp://me:${{AWAY_PASSWORD}}@127.0.0.1:{closed}/1"}}
actions:
  - {{name: clip, kind: save_clip, before_seconds: 1, after_seconds: 1}}
  - {{name: broker, kind: mqtt, host: 127.0.0.1, port: {closed}, username: me, password: "${{MQTT_PASSWORD}}"}}
  - {{name: other, kind: mqtt, host: 127.0.0.1, port: {silent}, username: me, password_credential: mqtt}}
  - name: hook
    kind: webhook
    url: {server}/hooks/${{HOOK_PATH}}
    headers: {{Authorization: "Bearer ${{HOOK_HEADER}}"}}
    secret: ${{HOOK_KEY}}
  - name: snapshot
    kind: camera
    mode: http
    url: {server}/snapshot?token=${{SNAPSHOT_QUERY}}
    username: me
    password: ${{SNAPSHOT_PASSWORD}}
  - {{name: video, kind: camera, mode: ffmpeg, url: "rtsp://me:${{VIDEO_PASSWORD}}@127.0.0.1:{silent}/v", timeout_seconds: 600}}
  - {{name: phone, kind: notify, urls: ["json://me:${{NOTIFY_PASSWORD}}@127.0.0.1:{port}/${{NOTIFY_PATH}}"]}}
  - name: lamp
    kind: command
    argv: [sh, -c, "env; env >&2; exit 3"]
    environment: {{TOKEN: "${{COMMAND_VARIABLE}}"}}
store:
  database: {folder}/birds.sqlite
  clips_folder: {folder}/clips
metrics: {{port: {metrics}}}
web: {{port: {web}}}
log: {{level: debug}}
"""


class Echo(http.server.BaseHTTPRequestHandler):
    """Fails at everything, and tells in its answer all that it was sent."""

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers.get("content-length", 0)))
        told = f"{self.path} {self.headers} {said[:200]!r}"
        if self.path.startswith("/snapshot") and "authorization" not in self.headers:
            self.send_response(401)
            self.send_header("www-authenticate", 'Basic realm="camera"')
        else:
            self.send_response(500)
        body = " ".join(told.split()).encode()
        self.send_header("content-length", str(len(body)))
        self.send_header("x-echo", " ".join(told.split()))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815 - the name is http.server's

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def echoing() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def family(pid: int) -> set[int]:
    """A process, its children, and theirs."""
    found = {pid}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                found |= family(int(child))
    return found


class Onlooker:
    """Reads the command lines of a process and all that it starts, again and again, as every user of the machine may."""

    def __init__(self, pid: int) -> None:
        self.seen: set[bytes] = set()
        self._pid = pid
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._ending.wait(0.01):
            for pid in family(self._pid):
                with contextlib.suppress(OSError):
                    self.seen.add(Path(f"/proc/{pid}/cmdline").read_bytes())

    def stop(self) -> bytes:
        self._ending.set()
        self._thread.join()
        return b"\n".join(self.seen)


def ask(*arguments: str | Path, environment: dict[str, str], seconds: float = 120) -> str:
    """What a command says; within so many seconds, as one that tries what hangs takes as long as the config allows."""
    words = [*BIRDWATCHD, *map(str, arguments)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
    return f"{arguments}\n{said.decode()}"


def shown(url: str) -> bytes:
    """What the page shows of the station, its settings, and what became of each detection."""
    heard = httpx.get(f"{url}/api/v1/detections").json()["detections"]
    about = [f"/detection/{one['id']}" for one in heard]
    about += [f"/api/v1/detections/{one['id']}/deliveries" for one in heard]
    answers = [httpx.get(f"{url}{path}") for path in ("/", "/sources", "/settings", "/today", *about)]
    assert {answer.status_code for answer in answers} == {200}
    text = b"".join(answer.content for answer in answers)
    assert b"rtsp://***@127.0.0.1" in text
    return text


def found_in(text: bytes) -> list[str]:
    """Which secrets stand there, plain or as HTTP's Basic has them."""
    secrets = {**CANARIES, "CREDENTIAL": CREDENTIAL}
    forms = {
        place: (secret.encode(), base64.b64encode(f"me:{secret}".encode()))
        for place, secret in secrets.items()
    }
    return sorted(place for place, all_forms in forms.items() if any(form in text for form in all_forms))


def prepared(tmp_path: Path, folder: Path) -> dict[str, str]:
    """What the station hears, its credential, and its environment, which holds all the secrets that the config names."""
    sound = noise(60)
    for second in range(2, 58, 8):
        sound[second * RATE : (second + 3) * RATE] += tone(4000, 3)
    (folder / "credentials").mkdir(parents=True)
    (folder / "credentials" / "mqtt").write_text(CREDENTIAL)
    soundfile.write(folder / "garden.wav", sound, RATE)
    (tmp_path / "temporary").mkdir()
    return {
        **os.environ,
        **CANARIES,
        "CREDENTIALS_DIRECTORY": str(folder / "credentials"),
        "PYTHONFAULTHANDLER": "1",
        "TMPDIR": str(tmp_path / "temporary"),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }


@pytest.mark.long
@pytest.mark.parametrize("form", ["json", "text"])
def test_no_secret_is_told_anywhere(tmp_path: Path, tiny_bundle: Path, form: str) -> None:
    pytest.importorskip("apprise")
    folder = tmp_path / "station"
    config = folder / "config.yaml"
    environment = prepared(tmp_path, folder)
    log = tmp_path / "log"
    told = b""
    with (
        echoing() as port,
        socket.create_server(("127.0.0.1", 0), backlog=100) as silent,
        log.open("wb") as out,
    ):
        ports = {
            "port": port,
            "silent": silent.getsockname()[1],
            "closed": free_port(),
            "metrics": free_port(),
            "web": free_port(),
        }
        text = CONFIG.format(bundle=tiny_bundle, folder=folder, server=f"http://127.0.0.1:{port}", **ports)
        config.write_text(text.replace("level: debug", f"level: debug, format: {form}"))
        daemon = subprocess.Popen(
            [*BIRDWATCHD, "run", "-c", str(config)], stdout=out, stderr=subprocess.STDOUT, env=environment
        )
        onlooker = Onlooker(daemon.pid)
        try:

            def settled() -> bool:
                """Every action has been tried, and what hangs hangs."""
                said = ask("deliveries", "-c", config, "--json", environment=environment).partition("\n")[2]
                rows = json.loads(said) if said.startswith("[") else []
                tried = {row["action"] for row in rows if row["attempts"]}
                ffmpegs = [line for line in onlooker.seen if line.startswith(b"ffmpeg") and b"concat" in line]
                return tried >= {"clip", "broker", "hook", "snapshot", "phone", "lamp"} and len(ffmpegs) >= 3

            wait_until(settled, f"all is tried: {log}", seconds=120)
            commands: tuple[tuple[str | Path, ...], ...] = (
                *(
                    ("status",),
                    ("status", "--json"),
                    ("check",),
                    ("check", "--live"),
                    ("deliveries",),
                    ("deliveries", "--json"),
                ),
                *(("detections", "--json"), ("ledger",)),
            )
            told += "\n".join(ask(*one, "-c", config, environment=environment) for one in commands).encode()
            live = ask("check", "--live", "-c", config, environment=environment, seconds=30)
            assert "pond" in live
            told += live.encode()
            told += ask("model", "info", tiny_bundle, environment=environment).encode()
            told += ask("actions", "test", "hook", "-c", config, environment=environment).encode()
            told += ask("actions", "test", "lamp", "-c", config, environment=environment).encode()
            with socket.create_connection(("127.0.0.1", ports["metrics"])) as scrape:
                scrape.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                while piece := scrape.recv(65536):
                    told += piece
            assert b"birdwatchd_" in told
            told += shown(f"http://127.0.0.1:{ports['web']}")
            for pid in family(daemon.pid) - {daemon.pid}:
                with contextlib.suppress(OSError):
                    # Those that read what strangers send have nobody's password around them either.
                    told += Path(f"/proc/{pid}/environ").read_bytes()
        finally:
            seen = onlooker.stop()
            daemon.send_signal(signal.SIGABRT)
            daemon.wait()
    said = log.read_bytes()
    assert b"Fatal Python error: Aborted" in said  # faulthandler has written the stacks of all threads
    assert found_in(said) == []
    assert found_in(seen) == []
    assert found_in(told) == []
    for path in sorted(tmp_path.rglob("*")):
        if path.is_file() and path.parent.name != "credentials":
            assert found_in(path.read_bytes()) == [], path
    assert list((folder / "clips").rglob("*.json"))
    # It is there to be found, and is found where it is.
    assert found_in(json.dumps(CANARIES).encode()) == sorted(PLACES)
