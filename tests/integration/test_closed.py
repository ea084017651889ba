"""What a running daemon leaves open to others: no port that the config does not ask for, and no file of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import soundfile

from tests.integration.test_run import BIRDWATCHD, RATE, noise, tone
from tests.integration.waiting import wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTENING = "0A"
"""A TCP socket's state in /proc/net (include/net/tcp_states.h)."""
CONFIG = """\
node: wood
model: {{bundle: {bundle}}}
sources:
  - {{name: garden, kind: recording, path: {folder}/garden.wav, start: now}}
{stream}
actions:
  - {{name: clip, kind: save_clip}}
  - {{name: broker, kind: mqtt, host: 127.0.0.1, port: {away}}}
  - {{name: hook, kind: webhook, url: "http://127.0.0.1:{away}/"}}
store:
  database: {folder}/data/birds.sqlite
  clips_folder: {folder}/data/clips
{more}
"""


def listening(pid: int) -> set[str]:
    """`tcp 0100007F:24F8`: every socket of a process that somebody elsewhere could talk to, and its local sockets by path."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if (target := str(descriptor.readlink())).startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for kind in ("tcp", "tcp6", "udp", "udp6", "udplite", "raw", "raw6"):
        table = Path(f"/proc/{pid}/net/{kind}")
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            _, local, peer, state, *rest = line.split()
            nobody = set(peer.partition(":")[0]) == {"0"}
            if rest[5] in inodes and (state == LISTENING if kind.startswith("tcp") else nobody):
                found.add(f"{kind} {local}")
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        accepts = int(fields[3], 16) & 0x10000  # __SO_ACCEPTCON
        if fields[6] in inodes and accepts:
            found.add(f"unix {fields[7] if len(fields) > 7 else ''}")
    return found


def staying(pid: int) -> set[str]:
    """Those that are seen twice: paho makes its pair of sockets through one that listens for a moment, to itself."""
    return listening(pid) & listening(pid)


@contextlib.contextmanager
def daemon(folder: Path, bundle: Path, more: str = "") -> Iterator[int]:
    """Running, and about to hear something."""
    sound = noise(60)
    for second in range(2, 58, 8):
        sound[second * RATE : (second + 3) * RATE] += tone(4000, 3)
    soundfile.write(folder / "garden.wav", sound, RATE)
    away = free_port()
    stream = (
        f"  - {{name: pond, kind: stream, url: 'rtsp://127.0.0.1:{away}/1'}}"
        if shutil.which("ffmpeg")
        else ""
    )
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(bundle=bundle, folder=folder, stream=stream, away=away, more=more))
    environment = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    process = subprocess.Popen(
        [*BIRDWATCHD, "run", "-c", str(config)],
        stderr=subprocess.DEVNULL,
        env=environment,
        umask=0o022,
    )
    try:
        wait_until(lambda: list((folder / "data").rglob("*.sock")), "it answers")
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def test_no_port_is_open_unless_the_config_asks_for_one(tmp_path: Path, tiny_bundle: Path) -> None:
    with daemon(tmp_path, tiny_bundle) as pid:
        wait_until(lambda: list(tmp_path.rglob("*.flac")), "a clip is kept")
        (only,) = staying(pid)
        assert only.startswith("unix ")
        assert "status-" in only
        data = tmp_path / "data"
        written = {}
        for path in (data, *data.rglob("*")):
            with contextlib.suppress(FileNotFoundError):  # what is written just now gets another name
                written[path.name] = path.lstat().st_mode
        assert {"birds.sqlite", "birds.sqlite-wal", "clips", only.rpartition("/")[2]} < written.keys()
        assert {name: oct(mode) for name, mode in written.items() if mode & stat.S_IRWXO} == {}


def test_the_port_that_is_asked_for_is_the_only_one(tmp_path: Path, tiny_bundle: Path) -> None:
    port = free_port()
    with daemon(tmp_path, tiny_bundle, more=f"metrics: {{port: {port}}}") as pid:
        asked_for = f"tcp 0100007F:{port:04X}"
        wait_until(lambda: asked_for in listening(pid), "the port is open")
        assert {one for one in staying(pid) if not one.startswith("unix")} == {asked_for}


def test_the_look_finds_what_listens() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        other.bind(("127.0.0.1", 0))
        ports = {server.getsockname()[1]: "tcp", other.getsockname()[1]: "udp"}
        wanted = {f"{kind} 0100007F:{port:04X}" for port, kind in ports.items()}
        assert wanted <= listening(os.getpid())
    assert not wanted & listening(os.getpid())


pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="no /proc/net here")
