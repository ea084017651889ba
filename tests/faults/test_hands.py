"""What the world does to actions that reach into it: programs that never end, cameras that hang, servers in trouble."""

from __future__ import annotations

import gc
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.actions import GiveUp, Postpone, child
from birdwatchd.actions.camera import Camera
from birdwatchd.actions.camera_shot import NoShot
from birdwatchd.actions.child import Overdue
from birdwatchd.actions.command import Command
from birdwatchd.actions.webhook import Webhook
from tests.doubles import FakeContext, sample_detection
from tests.integration.waiting import wait_until
from tests.integration.web import WebServer
from tests.pictures import picture
from tests.ports import free_port
from tests.processes import lives

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT = 1.0


@pytest.fixture
def context(tmp_path: Path) -> FakeContext:
    return FakeContext(clips_folder=tmp_path / "clips")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    with WebServer(tmp_path / "web") as running:
        running.shows(picture())
        yield running


def command(*argv: str, **settings: Any) -> Command:
    return Command(
        Command.Config.model_validate({"name": "one", "kind": "command", "argv": argv, **settings})
    )


def webhook(url: str, **settings: Any) -> Webhook:
    return Webhook(Webhook.Config.model_validate({"name": "one", "kind": "webhook", "url": url, **settings}))


def camera(**settings: Any) -> Camera:
    return Camera(Camera.Config.model_validate({"name": "one", "kind": "camera", **settings}))


def kept(context: FakeContext) -> list[Path]:
    """Everything that lies in the clips folder, but for the locks and what is said of pictures."""
    found = [path for path in context.clips_folder.rglob("*") if path.is_file()]
    return [path for path in found if ".cameras" not in path.parts and path.suffix != ".json"]


# It starts another one, both are deaf to SIGTERM and keep the output open, and the first one ends or stays.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
print("still here", flush=True)
with open(sys.argv[1], "a") as file:
    print(os.getpid(), file=file)
print("and stays", flush=True)
while child and sys.argv[2] == "leaves":
    if len(open(sys.argv[1]).readlines()) == 2:
        sys.exit(0)
while True:
    time.sleep(60)
"""


def pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_a_command_that_forks_and_never_ends_is_ended_with_all_it_started(
    tmp_path: Path, context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = command(sys.executable, "-c", STUBBORN, str(tmp_path / "pids"), "stays", timeout_seconds=100)
    # Its time is over as soon as both are there.
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 200 * (len(pids(tmp_path / "pids")) == 2))
    monkeypatch.setattr(child, "time", clock)
    with pytest.raises(Overdue, match="took longer than"):
        one.run(sample_detection(), context)
    assert len(pids(tmp_path / "pids")) == 2
    wait_until(lambda: not any(map(lives, pids(tmp_path / "pids"))), "both have ended")
    assert "still here" in str(context.notes["output"])


def test_no_program_outlives_the_daemon(tmp_path: Path, context: FakeContext) -> None:
    one = command(sys.executable, "-c", STUBBORN, str(tmp_path / "pids"), "stays", timeout_seconds=100)

    def end() -> None:
        wait_until(lambda: len(pids(tmp_path / "pids")) == 2, "both are there")
        one.ends_at = time.monotonic() + child.ENDING_SECONDS

    threading.Thread(target=end).start()
    with pytest.raises(Overdue, match="was ended, as birdwatchd was ending"):
        one.run(sample_detection(), context)
    wait_until(lambda: not any(map(lives, pids(tmp_path / "pids"))), "both have ended")
    with pytest.raises(Overdue, match="was not begun"):
        one.run(sample_detection(), context)


def test_a_command_that_leaves_a_deaf_child_behind_is_done_and_the_child_ended(
    tmp_path: Path, context: FakeContext
) -> None:
    one = command(sys.executable, "-c", STUBBORN, str(tmp_path / "pids"), "leaves")
    one.run(sample_detection(), context)
    assert context.notes["status"] == 0
    assert len(pids(tmp_path / "pids")) == 2
    wait_until(lambda: not any(map(lives, pids(tmp_path / "pids"))), "both have ended")


def test_one_that_went_into_its_own_session_does_not_hold_us_up(tmp_path: Path, context: FakeContext) -> None:
    """It is the user's will that it goes on; it has our pipe, and keeps it."""
    command("sh", "-c", f"setsid sleep 1000 & echo $! > {tmp_path}/pid").run(sample_detection(), context)
    (pid,) = pids(tmp_path / "pid")
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, check=False).stdout
    for one in [pid, *map(int, found.split())]:
        if lives(one):
            os.kill(one, 9)


def test_a_command_that_floods_its_output_is_read_and_ended(context: FakeContext) -> None:
    with pytest.raises(Overdue):
        command("yes", timeout_seconds=SHORT).run(sample_detection(), context)
    assert len(str(context.notes["output"])) <= 2001


def children_of_this_thread() -> set[str]:
    """Empty where the kernel does not tell."""
    told = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    return set(told.read_text().split()) if told.exists() else set()


def test_no_process_and_no_file_is_left_over(context: FakeContext) -> None:
    one = command("sh", "-c", "sleep 100 & exit 1")
    gc.collect()  # what others have left behind must not go meanwhile
    before, others = len(list(Path("/proc/self/fd").iterdir())), children_of_this_thread()
    for _ in range(5):
        with pytest.raises(Exception, match="status 1"):
            one.run(sample_detection(), context)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert children_of_this_thread() <= others


@contextmanager
def deaf() -> Iterator[str]:
    """A server that accepts, and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_accepts_and_never_answers_is_asked_later(context: FakeContext) -> None:
    with (
        deaf() as url,
        webhook(url, timeout_seconds=SHORT) as one,
        pytest.raises(Postpone, match="takes too long to answer"),
    ):
        one.run(sample_detection(), context)


@pytest.mark.parametrize(
    ("said", "told"), [(b"", "hung up before"), (b"RFB 003.008\r\n\r\n", "does not speak HTTP")]
)
def test_a_server_of_another_kind_is_told(context: FakeContext, said: bytes, told: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with listening.accept()[0] as caller:
                heard = b""
                while b'"clip_url"' not in heard or not heard.endswith(b"}"):
                    heard += caller.recv(1 << 16)
                caller.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with webhook(url) as one, pytest.raises(Postpone, match=told):
            one.run(sample_detection(), context)
        thread.join()


def test_an_answer_that_never_ends_counts_by_its_status(
    server: WebServer, context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count()
    # Its time is over as soon as some of it has come.
    monkeypatch.setattr(
        "birdwatchd.actions.webhook.time", SimpleNamespace(monotonic=lambda: 1000 * next(looks))
    )
    with webhook(f"{server.url}/drip", timeout_seconds=100) as one:
        one.run(sample_detection(), context)
    assert context.notes["status"] == 200


def test_a_server_that_recovers_gets_the_message(server: WebServer, context: FakeContext) -> None:
    server.plan(*[(500, {}, "")] * 3)
    with webhook(f"{server.url}/plan") as one:
        for _ in range(3):
            with pytest.raises(Postpone, match="answers 500"):
                one.run(sample_detection(), context)
        one.run(sample_detection(), context)
    assert len({request.headers["webhook-id"] for request in server.requests}) == 1


def test_what_is_not_there_is_given_up(server: WebServer, context: FakeContext) -> None:
    with webhook(f"{server.url}/status/404") as one, pytest.raises(GiveUp, match="answers 404"):
        one.run(sample_detection(), context)


def test_a_server_that_was_restarted_is_found_again(server: WebServer, context: FakeContext) -> None:
    """The connection that was kept is dead then."""
    with webhook(server.url) as one:
        one.run(sample_detection(), context)
        server.stop()
        with pytest.raises(Postpone, match=r"cannot be reached: Connection refused|hung up"):
            one.run(sample_detection(), context)
        server.start()
        one.run(sample_detection(), context)
    assert len(server.requests) == 2


def test_a_camera_that_hangs_is_left_in_time(server: WebServer, context: FakeContext) -> None:
    for settings in (
        {"mode": "http", "url": f"{server.url}/hang"},
        {"mode": "http", "url": f"{server.url}/drip"},
        {"mode": "command", "argv": ["sh", "-c", "sleep 1000", "{file}"]},
    ):
        with (
            camera(timeout_seconds=SHORT, **settings) as one,
            pytest.raises(NoShot, match=r"takes too long|took longer"),
        ):
            one.run(sample_detection(), context)
    assert kept(context) == []


def test_a_camera_that_hangs_does_not_keep_its_turn(server: WebServer, context: FakeContext) -> None:
    hanging = camera(name="a", camera="porch", mode="http", url=f"{server.url}/hang", timeout_seconds=SHORT)
    with hanging, pytest.raises(NoShot):
        hanging.run(sample_detection(), context)
    with camera(name="b", camera="porch", mode="http", url=f"{server.url}/picture") as other:
        other.run(sample_detection(), context)
    assert len(kept(context)) == 1


def test_a_camera_whose_page_is_html_is_an_error(server: WebServer, context: FakeContext) -> None:
    server.shows(b"<!DOCTYPE html><html><title>Login</title></html>")
    with (
        camera(mode="http", url=f"{server.url}/picture") as one,
        pytest.raises(NoShot, match="it is a web page; is the address right"),
    ):
        one.run(sample_detection(), context)
    assert kept(context) == []


def test_a_camera_that_is_unreachable_is_told(context: FakeContext) -> None:
    url = f"http://127.0.0.1:{free_port()}/snapshot"
    with (
        camera(mode="http", url=url) as one,
        pytest.raises(NoShot, match="cannot be reached: Connection refused"),
    ):
        one.run(sample_detection(), context)
    assert kept(context) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_on_a_full_disk_no_picture_is_half_written(server: WebServer, small_disk: Path) -> None:
    large = picture(size=(640, 480))
    assert len(large) > 64 << 10
    context = FakeContext(clips_folder=small_disk)
    server.shows(large)
    with camera(mode="http", url=f"{server.url}/picture") as one:
        with pytest.raises(Postpone, match=r"no picture can be kept in .*: No space left on device"):
            one.run(sample_detection(), context)
        assert kept(context) == []
        assert not list(small_disk.rglob("*.json"))
        server.shows(picture(size=(64, 64)))
        one.run(sample_detection(), context)
    assert len(kept(context)) == 1
