"""Server-sent events: from a real database, and of the real daemon."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from birdwatchd.store.cursor import Cursor
from birdwatchd.store.database import Database
from birdwatchd.store.recorder import Recorder
from birdwatchd.web.api import events
from birdwatchd.web.password import hash_of
from birdwatchd.web.server import Page
from tests.ports import free_port
from tests.rows import BLACKBIRD, GREAT_TIT, detection
from tests.web.made_up import made_up
from tests.web.station import PATIENCE_SECONDS
from tests.web.station import station as running_station

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator
    from pathlib import Path

    from birdwatchd.domain import Detection
    from tests.web.made_up import MadeUp
    from tests.web.station import Station

TIT = detection(0, GREAT_TIT, state="started", run_id="run-2")
BLACK = detection(2, BLACKBIRD, state="started", source="pond", run_id="run-2")


def over(one: Detection) -> Detection:
    return replace(one, state="ended")


class Wood:
    """A station that hears what a test says."""

    def __init__(self, station: MadeUp, recorder: Recorder) -> None:
        self.station, self.recorder, self.ending = station, recorder, asyncio.Event()
        self.is_welcome = True

    def hear(self, *found: Detection) -> None:
        self.recorder.record(*found)
        for one in found:
            self.station.news.tell(one)

    def stream(
        self,
        cursor: Cursor | None = None,
        species: tuple[str, ...] = (),
        sources: frozenset[str] = frozenset(),
    ) -> AsyncGenerator[str]:
        house = self.station.house()
        begin = cursor or events._end(house)
        return events._stream(
            house, begin, self.ending, lambda: self.is_welcome, species=species, sources=sources
        )


@pytest.fixture
def wood(tmp_path: Path) -> Iterator[Wood]:
    station = made_up(tmp_path)
    with (
        Database.open(tmp_path / "birds.sqlite") as database,
        closing(Recorder(database, run_id="run-2")) as recorder,
    ):
        yield Wood(station, recorder)


def parsed(block: str) -> dict[str, str]:
    assert block.endswith("\n\n")
    return dict(line.split(": ", 1) for line in block.splitlines() if line)


async def read(stream: AsyncIterator[str], count: int) -> list[tuple[str, str, str]]:
    """The name of each event, the species, and its id."""
    found: list[tuple[str, str, str]] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count:
            event = parsed(await anext(stream))
            if "event" in event:
                said = json.loads(event["data"])
                found.append((event["event"], said.get("common_name", ""), event["id"]))
    return found


def test_each_start_and_each_end_is_an_event_with_a_place_to_go_on_from(wood: Wood) -> None:
    async def listen() -> list[tuple[str, str, str]]:
        async with aclosing(wood.stream()) as stream:
            begin = parsed(await anext(stream))
            assert begin == {"retry": "3000", "id": ""}
            wood.hear(TIT)
            first = await read(stream, 1)
            wood.hear(BLACK, over(TIT))
            return first + await read(stream, 2)

    told = asyncio.run(listen())
    # First what has ended, then what is new: each once.
    assert [one[:2] for one in told] == [
        ("started", "Great Tit"),
        ("ended", "Great Tit"),
        ("started", "Common Blackbird"),
    ]
    assert wood.station.news.readers == 0

    async def go_on() -> list[tuple[str, str, str]]:
        wood.hear(over(BLACK))
        async with aclosing(wood.stream(Cursor.parse(told[0][2]))) as stream:
            return await read(stream, 2)

    again = asyncio.run(go_on())
    assert [one[:2] for one in again] == [("ended", "Great Tit"), ("ended", "Common Blackbird")]


def test_only_what_was_asked_for_is_told(wood: Wood) -> None:
    async def listen() -> list[Any]:
        async with (
            aclosing(wood.stream(species=("turdus *",))) as thrushes,
            aclosing(wood.stream(sources=frozenset({"garden"}))) as garden,
        ):
            await anext(thrushes)
            await anext(garden)
            wood.hear(TIT)
            wood.hear(BLACK)
            wood.hear(over(TIT))
            return [await read(thrushes, 1), await read(garden, 1)]

    thrushes, garden = asyncio.run(listen())
    assert [one[1] for one in thrushes] == ["Common Blackbird"]
    # It looked late, and sees how it is now.
    assert [one[:2] for one in garden] == [("ended", "Great Tit")]


def test_a_silent_connection_is_kept_open(wood: Wood, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.05)

    async def listen() -> str:
        async with aclosing(wood.stream()) as stream, asyncio.timeout(PATIENCE_SECONDS):
            await anext(stream)
            return await anext(stream)

    assert asyncio.run(listen()) == ": listening\nid: \n\n"


def test_a_server_that_ends_ends_its_streams(wood: Wood) -> None:
    async def listen() -> list[str]:
        wood.ending = asyncio.Event()
        async with aclosing(wood.stream()) as stream, asyncio.timeout(PATIENCE_SECONDS):
            await anext(stream)
            asyncio.get_running_loop().call_later(0.05, wood.ending.set)
            return [block async for block in stream]

    assert asyncio.run(listen()) == []


def test_who_has_logged_out_is_told_nothing_more(wood: Wood) -> None:
    async def listen() -> list[str]:
        async with aclosing(wood.stream()) as stream, asyncio.timeout(PATIENCE_SECONDS):
            await anext(stream)
            wood.hear(TIT)
            await read(stream, 1)
            wood.is_welcome = False
            wood.hear(over(TIT))
            return [block async for block in stream]

    assert asyncio.run(listen()) == []


def test_a_stream_ends_at_the_logout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.1)
    port = free_port()
    station = made_up(tmp_path, web={"port": port, "password": hash_of("tawny owl")})
    with (
        Page(station.house()),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as client,
    ):

        def sign(path: str) -> str:
            return client.get(path).text.partition('csrf-token" content="')[2].partition('"')[0]

        client.post("/login", data={"csrf": sign("/login"), "password": "tawny owl"})
        with client.stream("GET", "/api/v1/events") as answer:
            lines = answer.iter_lines()
            assert next(line for line in lines if line.startswith(":")) == ": listening"
            assert client.post("/logout", data={"csrf": sign("/sources")}).status_code == 303
            until = time.monotonic() + PATIENCE_SECONDS
            for _ in lines:  # to its end: whoever is still told that it listens hears that for ever
                assert time.monotonic() < until


def test_a_place_that_is_gone_is_told_and_left(wood: Wood) -> None:
    async def listen() -> list[tuple[str, str, str]]:
        wood.hear(TIT)
        async with aclosing(wood.stream(Cursor("00ff"))) as stream:
            first = await read(stream, 1)
            wood.hear(over(TIT))
            return first + await read(stream, 1)

    assert [one[:2] for one in asyncio.run(listen())] == [("lost", ""), ("ended", "Great Tit")]


def test_much_is_caught_up_with(wood: Wood, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "AT_ONCE", 10)
    many = [detection(10 * number, run_id="run-2") for number in range(25)]
    wood.hear(*many)

    async def listen() -> list[tuple[str, str, str]]:
        async with aclosing(wood.stream(Cursor(""))) as stream:
            return await read(stream, 25)

    assert {one[0] for one in asyncio.run(listen())} == {"ended"}


def test_what_is_no_id_is_a_sentence(wood: Wood) -> None:
    client = wood.station.ask()
    for asked in ({"headers": {"Last-Event-ID": "no"}}, {"params": {"after": "no"}}):
        answer = client.get("/api/v1/events", **asked)
        assert answer.status_code == 422
        assert answer.json()["detail"] == "Last-Event-ID: this is not the id of an event"


def test_too_many_are_sent_away(wood: Wood, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LISTENERS", 0)
    assert wood.station.ask().get("/api/v1/events").status_code == 503


def test_the_real_daemon_tells_what_it_hears(station: Station) -> None:
    with httpx.stream("GET", f"{station.url}/api/v1/events", timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        name = next(line for line in lines if line.startswith("event: "))
        said = json.loads(next(lines).removeprefix("data: "))
        assert f"event: {said['state']}" == name
        assert said["common_name"] in ("High Tone", "Low Tone")
        place = next(lines).removeprefix("id: ")
    # Who comes back is not told the same again.
    with httpx.stream(
        "GET", f"{station.url}/api/v1/events", timeout=60, headers={"Last-Event-ID": place}
    ) as answer:
        lines = answer.iter_lines()
        next(line for line in lines if line.startswith("event: "))
        then = json.loads(next(lines).removeprefix("data: "))
    assert (then["id"], then["state"]) != (said["id"], said["state"])


@pytest.mark.long
def test_a_daemon_that_stops_waits_for_no_stream(tmp_path: Path, tiny_bundle: Path) -> None:
    with running_station(tmp_path, tiny_bundle, seconds=60) as own:
        assert own.process is not None
        with httpx.stream("GET", f"{own.url}/api/v1/events", timeout=60) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "retry: 3000"
            own.process.terminate()
            assert own.process.wait(60) == 0
            list(lines)  # to its proper end
        assert "exception" not in own.log
