"""The port of the page: begun, moved and ended as the config says; and nothing of it where there is no `web:`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from birdwatchd.errors import ServiceError
from birdwatchd.web.password import hash_of
from birdwatchd.web.server import Page, may_listen
from tests.integration.waiting import wait_until
from tests.ports import free_port
from tests.web.made_up import made_up
from tests.web.station import CONFIG, PATIENCE_SECONDS, station, write_sound

if TYPE_CHECKING:
    from birdwatchd.config.schema import Web

TELLING = CONFIG.replace(
    "store:\n",
    """\
  - name: tell
    kind: command
    argv: [sh, -c, 'echo "$BIRDWATCHD_PAGE_URL" >> "{folder}/links"']
store:
""",
)
"""With an action that writes down where the page of each detection is."""
ROOT = Path(__file__).parents[2]
FRAMEWORKS = {"fastapi", "starlette", "uvicorn", "jinja2", "argon2", "websockets", "multipart"}


def web_of(folder: Path, **settings: object) -> Web:
    web = made_up(folder, web=settings).config.web
    assert web is not None
    return web


def test_a_daemon_without_a_page_pays_nothing_for_it() -> None:
    code = "import sys, birdwatchd.daemon, birdwatchd.reload, birdwatchd.cli.run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert FRAMEWORKS & set(done.stdout.split()) == set()


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    house = made_up(tmp_path, web={"port": free_port()}).house()
    with pytest.raises(
        ServiceError, match=r"not installed \(uvicorn\); run `pip install 'birdwatchd\[web\]'`"
    ):
        Page(house).__enter__()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1", "web.port: .* is taken by another program"),
        ("192.0.2.1", "web.address: .* is no address"),
    ],
)
def test_a_port_that_cannot_be_had_is_told(tmp_path: Path, address: str, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        web = web_of(tmp_path, port=taken.getsockname()[1], address=address, password=hash_of("a password"))
        with pytest.raises(ServiceError, match=said):
            may_listen(web)


def test_it_is_shown_as_long_as_it_is_entered(tmp_path: Path) -> None:
    port = free_port()
    house = made_up(tmp_path, web={"port": port})
    url = f"http://127.0.0.1:{port}/sources"
    with Page(house.house()):
        assert httpx.get(url, timeout=PATIENCE_SECONDS).status_code == 200
    # It waits for its end, but not for ever.
    wait_until(lambda: "web" not in {thread.name for thread in threading.enumerate()}, "its thread ends")
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, timeout=PATIENCE_SECONDS)


def test_a_reload_takes_it_elsewhere_closes_it_and_opens_it_again(tmp_path: Path, tiny_bundle: Path) -> None:
    with station(tmp_path, tiny_bundle) as there:
        before = there.config.read_text()
        other = free_port()
        there.config.write_text(before.replace(f"port: {there.port}", f"port: {other}\n  prefix: /birds"))
        there.reload()
        elsewhere = f"http://127.0.0.1:{other}/birds/sources"
        assert httpx.get(elsewhere, timeout=PATIENCE_SECONDS).status_code == 200
        wait_until(there.is_deaf, "the old port is left")

        # With a password from now on: what was open is closed.
        there.config.write_text(f"{before}\n  password: {hash_of('a password')}\n")
        there.reload()
        assert there.get("/sources").status_code == 303

        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            there.config.write_text(before.replace(f"port: {there.port}", f"port: {port}"))
            there.reload()
        assert "is taken by another program" in there.log
        assert "page goes on as it was" in there.log
        assert there.get("/sources").status_code == 303

        there.config.write_text(before.partition("web:")[0])
        there.reload()
        wait_until(there.is_deaf, "the port is left")
        assert "Traceback" not in there.log


@pytest.mark.long
def test_messages_link_to_the_page_where_it_stayed_when_it_could_not_move(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    links = tmp_path / "links"
    links.touch()

    def told() -> list[str]:
        return links.read_text().splitlines()

    public = "  public_url: https://wood.example"
    with station(tmp_path, tiny_bundle, config=TELLING, more=public) as there:
        wait_until(told, "a detection")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            config = there.config.read_text().replace("wood.example", "pond.example")
            port = taken.getsockname()[1]
            there.config.write_text(config.replace(f"port: {there.port}", f"port: {port}"))
            there.reload()
        assert "page goes on as it was" in there.log
        before = len(told())
        wait_until(lambda: len(told()) > before + 1, "two more detections")
        assert told()[-1].startswith("https://wood.example/detection/")


def test_a_port_that_is_taken_is_one_sentence_at_the_start(tmp_path: Path, tiny_bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"model: {{bundle: {tiny_bundle}}}\n"
            f"sources: [{{name: garden, kind: recording, path: {tmp_path}/day.wav}}]\n"
            f"store: {{database: {tmp_path}/birds.sqlite}}\nweb: {{port: {taken.getsockname()[1]}}}\n"
        )
        write_sound(tmp_path / "day.wav", 30)
        done = subprocess.run(
            [sys.executable, "-m", "birdwatchd", "run", "-c", str(config)],
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert done.returncode == 2
    assert "birdwatchd: web.port: 127.0.0.1:" in done.stderr
    assert "Traceback" not in done.stderr
