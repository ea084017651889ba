"""The live picture, on real rings; the station around it is made up."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from argon2 import PasswordHasher
from starlette.websockets import WebSocketDisconnect

from birdwatchd.audio.clock import FileClock
from birdwatchd.audio.ring import Ring
from birdwatchd.web import live as picture
from birdwatchd.web.app import create_app
from birdwatchd.web.columns import BANDS, Columns, Prism
from birdwatchd.web.live import HEADER, Live
from birdwatchd.web.viewer import Viewer
from tests.rows import DAWN, detection
from tests.web.made_up import client_of, made_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from birdwatchd.audio.source import Source
    from tests.web.made_up import MadeUp

LIVE = "ws://127.0.0.1:8080/live"
RATE = 48000
SECONDS = 60.0


class Tape:
    """A source whose sound a test writes."""

    site, finished, fault = "", False, ""

    def __init__(self, name: str, start: datetime = DAWN) -> None:
        self.name = name
        self.open(start)

    def open(self, start: datetime) -> None:
        self.ring = Ring(10 * RATE, RATE)
        self.clock = FileClock(RATE)
        self.clock.anchor(0, start)

    def play(self, seconds: float = 0.5) -> None:
        self.ring.write(np.random.default_rng(1).normal(0, 0.01, round(seconds * RATE)).astype(np.float32))


@pytest.fixture
def garden() -> Tape:
    return Tape("garden")


@pytest.fixture
def wood(tmp_path: Path, garden: Tape) -> MadeUp:
    station = made_up(tmp_path, [detection(0), detection(20)])
    station.sources = cast("list[Source]", [garden, Tape("pond")])
    return station


class Look:
    """One that looks, and keeps what it was sent."""

    def __init__(self, *watched: str) -> None:
        self.viewer = Viewer()
        self.viewer.watched = watched
        self.words: list[tuple[str, Any]] = []
        self.sound: list[bytes] = []

    async def read(self) -> None:
        while True:
            message = await self.viewer.next()
            if isinstance(message, bytes):
                self.sound.append(message)
            else:
                self.words.extend(json.loads(message).items())

    def told(self, kind: str) -> list[Any]:
        return [content for name, content in self.words if name == kind]


async def until(is_so: Callable[[], object]) -> None:
    """Wait for it."""
    async with asyncio.timeout(SECONDS):
        while not is_so():  # noqa: ASYNC110 - what is waited for is in another thread's hands, or in nobody's
            await asyncio.sleep(0.01)


@asynccontextmanager
async def looking(live: Live, *looks: Look) -> AsyncIterator[None]:
    """All of them look while it is entered."""
    async with AsyncExitStack() as stack:
        for look in looks:
            await stack.enter_async_context(live.seen_by(look.viewer))
        tasks = [asyncio.create_task(look.read()) for look in looks]
        yield
        for task in tasks:
            task.cancel()


def test_columns_say_whose_they_are_when_they_began_and_how_loud(wood: MadeUp, garden: Tape) -> None:
    async def look() -> None:
        one = Look("garden")
        async with looking(Live(wood.house()), one):
            await until(lambda: one.told("state"))
            garden.play(0.5)
            await until(lambda: one.sound)
        number, count, level, seconds, rate, sample, start = HEADER.unpack_from(one.sound[0])
        assert number == next(x["number"] for x in one.told("state")[0]["sources"] if x["name"] == "garden")
        assert (count, rate, sample) == (20, RATE, 0)
        assert seconds == pytest.approx(0.025)
        assert level == pytest.approx(-40, abs=0.5)
        assert start == DAWN.timestamp()
        assert len(one.sound[0]) == HEADER.size + count * BANDS

    asyncio.run(look())


def test_columns_are_made_once_for_all_and_only_of_what_is_watched(
    wood: MadeUp, garden: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Ring] = []
    take = Prism.take

    def counted(prism: Prism) -> Columns | None:
        columns = take(prism)
        if columns is not None:
            taken.append(prism.ring)
        return columns

    monkeypatch.setattr(Prism, "take", counted)

    async def look() -> None:
        first, second, blind = Look("garden"), Look("garden"), Look()
        async with looking(Live(wood.house()), first, second, blind):
            await until(lambda: first.told("state"))
            for tape in wood.sources:
                cast("Tape", tape).play(0.5)
            await until(lambda: first.sound and second.sound)
            await until(lambda: len(first.told("state")) > 1)
        assert taken == [garden.ring]
        assert first.sound[0] is second.sound[0]
        assert blind.sound == []
        assert blind.told("state")

    asyncio.run(look())


def test_when_nobody_looks_nothing_is_done(wood: MadeUp, garden: Tape) -> None:
    async def look() -> None:
        live, one = Live(wood.house()), Look("garden")
        async with looking(live, one):
            await until(lambda: one.told("state"))
            garden.play()
            await until(lambda: one.sound)
            assert (wood.news.readers, live.viewers) == (1, 1)
        await until(lambda: len(asyncio.all_tasks()) == 1)
        assert (wood.news.readers, live.viewers) == (0, 0)
        # And it begins again.
        again = Look("garden")
        async with looking(live, again):
            await until(lambda: again.told("state"))
            garden.play()
            await until(lambda: again.sound)

    asyncio.run(look())


def test_the_pipelines_thread_tells_at_once_and_does_not_wait(
    wood: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What would be told at the next turn only, whichever, would not be told here.
    for turn in ("TURN_SECONDS", "STATE_SECONDS"):
        monkeypatch.setattr(picture, turn, 3600.0)
    tit = detection(3, state="started")

    async def look() -> None:
        one, never_reads = Look(), Look()
        live = Live(wood.house())
        async with live.seen_by(never_reads.viewer), looking(live, one):
            await until(lambda: wood.news.readers)
            thread = threading.Thread(
                target=lambda: [*map(wood.news.tell, (tit, replace(tit, state="ended")))]
            )
            thread.start()
            thread.join(SECONDS)  # while the loop cannot turn
            assert not thread.is_alive()
            await until(lambda: len(one.told("detection")) == 2)
        assert [(x["common_name"], x["state"]) for x in one.told("detection")] == [
            ("Great Tit", "started"),
            ("Great Tit", "ended"),
        ]
        # In the station's zone.
        assert one.told("detection")[0]["start"] == "2026-05-09T06:42:13.250+02:00"

    asyncio.run(look())


def test_a_source_that_was_opened_anew_is_seen_again(wood: MadeUp, garden: Tape) -> None:
    async def look() -> None:
        one = Look("garden")
        async with looking(Live(wood.house()), one):
            await until(lambda: one.told("state"))
            garden.play()
            await until(lambda: one.sound)
            later = datetime(2026, 5, 9, 5, tzinfo=UTC)
            garden.open(later)

            def is_seen() -> bool:
                garden.play(0.1)  # what sounds before anybody has looked at the new ring is not shown
                return bool(HEADER.unpack_from(one.sound[-1])[-1] >= later.timestamp())

            await until(is_seen)

    asyncio.run(look())


def test_a_state_that_cannot_be_told_is_told_later(wood: MadeUp, garden: Tape) -> None:
    status, asked, is_mended = wood.station.observer.status, list[bool](), threading.Event()

    def failing() -> Any:
        asked.append(is_mended.is_set())
        if not is_mended.is_set():
            raise OSError("no")
        return status()

    async def look() -> None:
        one = Look("garden")
        async with looking(Live(wood.house(status=failing)), one):
            await until(lambda: asked)
            garden.play()
            await until(lambda: one.sound)
            assert one.told("state") == []
            is_mended.set()
            await until(lambda: one.told("state"))

    asyncio.run(look())


def test_the_page_says_how_things_are_before_anything_moves(wood: MadeUp) -> None:
    said = wood.ask().get("/").text
    assert 'data-source="garden"' in said
    assert said.count("Great Tit") == 2
    assert "06:42:30" in said
    assert "Nothing was heard yet" in said


def test_a_browser_gets_the_newest_the_state_and_what_it_watches(wood: MadeUp, garden: Tape) -> None:
    with wood.ask().websocket_connect(LIVE) as socket:
        words = [socket.receive_json() for _ in range(2)]
        told = {kind: content for one in words for kind, content in one.items()}
        assert [one["start"][11:19] for one in told["hello"]["newest"]] == ["06:42:30", "06:42:10"]
        assert told["state"]["sources"][0]["name"] == "garden"
        # What makes no sense is no end, and no watching.
        for said in ("{", "[]", '{"watch": 3}', '{"watch": [["garden"]]}', "[" * 5000):
            socket.send_text(said)
        socket.send_json({"watch": ["garden", "nowhere"]})
        sound: bytes | None = None
        while sound is None:
            garden.play(0.2)
            sound = socket.receive().get("bytes")
        assert HEADER.unpack_from(sound)[1] > 0


def test_a_page_of_another_site_is_not_let_in(wood: MadeUp) -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        wood.ask().websocket_connect(LIVE, headers={"Origin": "http://evil.example"}),
    ):
        pass
    with wood.ask().websocket_connect(LIVE, headers={"Origin": "http://127.0.0.1:8080"}) as socket:
        assert socket.receive_json()


def test_who_is_not_logged_in_sees_nothing(tmp_path: Path) -> None:
    closed = made_up(tmp_path / "closed", web={"password": PasswordHasher().hash("secret")})
    with pytest.raises(WebSocketDisconnect), closed.ask().websocket_connect(LIVE):
        pass


@pytest.mark.parametrize("how", ["logout", "another password"])
def test_who_has_logged_out_sees_nothing_more(tmp_path: Path, how: str) -> None:
    password = PasswordHasher().hash("secret")
    closed = made_up(tmp_path / "closed", web={"password": password})
    app = create_app(closed.house())
    cookie = app.state.sessions.begin("Ann", password)
    own = f"{LIVE}?csrf={app.state.sessions.csrf(cookie)}"
    with client_of(app).websocket_connect(own, headers={"Cookie": f"birdwatchd-8080={cookie}"}) as socket:
        assert socket.receive_json()
        if how == "logout":
            app.state.sessions.end(cookie)
        else:
            web = {"port": 8080, "password": PasswordHasher().hash("another")}
            closed.config = closed.config.model_validate({**closed.config.model_dump(), "web": web})
        messages = [socket.receive()]
        while messages[-1]["type"] == "websocket.send" and len(messages) < 20:
            messages.append(socket.receive())
    assert (messages[-1].get("code"), app.state.live.viewers) == (1008, 0)


def test_another_page_at_this_machine_cannot_use_the_cookie(tmp_path: Path) -> None:
    password = PasswordHasher().hash("secret")
    closed = made_up(tmp_path / "closed", web={"password": password})
    app = create_app(closed.house())
    cookie = app.state.sessions.begin("Ann", password)
    headers = {"Cookie": f"birdwatchd-8080={cookie}", "Origin": "http://127.0.0.1:9999"}
    with pytest.raises(WebSocketDisconnect), client_of(app).websocket_connect(LIVE, headers=headers):
        pass
    own = f"{LIVE}?csrf={app.state.sessions.csrf(cookie)}"
    with client_of(app).websocket_connect(own, headers=headers) as socket:
        assert socket.receive_json()
