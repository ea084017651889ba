"""HEAD: whatever answers to GET answers to it, without a body; and what an address can be asked for is said."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.responses import StreamingResponse

from birdwatchd.web.app import create_app
from birdwatchd.web.heads import Heads
from tests.rows import detection
from tests.web.keeping import keep_sound
from tests.web.made_up import asked, client_of, made_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.web.station import Station

TIT = detection(0, clip_path="tit")
MOVING = {"last-modified", "etag", "content-length"}
"""May differ between two askings: pages tell the time, and what is converted was made just now."""


def bodies(app: Any, path: str) -> tuple[int, list[bytes]]:
    """What the app itself sends on a HEAD; clients drop a body before anybody sees it."""
    status, sent = 0, list[bytes]()

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)
        if "body" in message:
            sent.append(message["body"])

    asyncio.run(asyncio.wait_for(app(asked("HEAD", path), receive, send), 60))
    return status, sent


def test_every_address_answers_to_head_as_to_get_and_sends_no_body(tmp_path: Path) -> None:
    station = made_up(tmp_path, [TIT, detection(20)])
    keep_sound(tmp_path / "clips", TIT)
    app = create_app(station.house())
    client = client_of(app)
    paths = {
        path.replace("{id}", TIT.id).replace("{identity}", TIT.id).replace("{year}", "2026")
        for path in app.state.paths
    } - {"/live", "/api/v1/events"}
    every = {path for path in paths if "{" not in path} | {
        "/static/style.css",
        "/nothing",
        "/api/v1/openapi.json",
    }
    assert {"/", "/sources", "/api/v1/health", f"/api/v1/clips/{TIT.id}/sound", "/season/2026"} <= every
    for path in sorted(every):
        got, head = client.get(path), client.head(path)
        assert head.status_code == got.status_code, path
        told = [
            {name: text for name, text in one.headers.items() if name not in MOVING} for one in (got, head)
        ]
        assert told[0] == told[1], path
        assert ("content-length" in head.headers) == ("content-length" in got.headers), path
        assert bodies(app, path) == (got.status_code, [b""]), path
    # One that has no end ends.
    assert bodies(app, "/api/v1/events") == (200, [b""])
    assert station.news.readers == 0


def test_the_real_daemon_says_the_head_of_a_stream_and_goes_on(station: Station) -> None:
    with httpx.Client(base_url=station.url, timeout=60) as client:
        for _ in range(2):  # over one connection: nothing of a body is left in it
            head = client.head("/api/v1/events")
            assert head.headers["content-type"].startswith("text/event-stream")
            assert client.head("/").status_code == client.get("/sources").status_code == 200
    assert "Traceback" not in station.log


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/sources", "GET, HEAD"),
        ("/review", "GET, HEAD, POST"),
        ("/logout", "POST"),
        ("/api/v1/health", "GET, HEAD"),
        (f"/api/v1/detections/{TIT.id}/reviews", "GET, HEAD, POST"),
        ("/api/v1/openapi.json", "GET, HEAD"),
        ("/static/style.css", "GET, HEAD"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/birds"])
def test_what_can_be_asked_of_an_address_is_said(
    tmp_path: Path, path: str, allowed: str, prefix: str
) -> None:
    client = made_up(tmp_path, [TIT], web={"prefix": prefix}).ask()
    refused = client.options(f"{prefix}{path}")
    assert (refused.status_code, refused.headers["allow"]) == (405, allowed)
    if "GET" not in allowed:
        assert client.head(f"{prefix}{path}").headers["allow"] == allowed


def test_a_slow_client_gets_the_whole_head() -> None:
    """Whoever hears of a disconnection ends what it is sending."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"more"
            await asyncio.sleep(0)

    sent = list[str]()

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: Any) -> None:
        for _ in range(20):  # others get their turn, as where a client does not take what it is sent
            await asyncio.sleep(0)
        sent.append(message["type"])

    app: Any = Heads(StreamingResponse(endless()))
    asyncio.run(asyncio.wait_for(app(asked("HEAD", "/"), receive, send), 60))
    assert sent == ["http.response.start", "http.response.body"]
