from __future__ import annotations

import asyncio

from birdwatchd.web.viewer import SOUND, WORDS, Viewer


def read(viewer: Viewer, count: int) -> list[str | bytes]:
    async def some() -> list[str | bytes]:
        return [await asyncio.wait_for(viewer.next(), 60) for _ in range(count)]

    return asyncio.run(some())


def test_detections_come_before_the_state_and_the_state_before_sound() -> None:
    viewer = Viewer()
    viewer.show(b"one")
    viewer.describe("old")
    viewer.tell("tit starts")
    viewer.describe("new")
    viewer.tell("tit ends")
    viewer.show(b"two")
    assert read(viewer, 5) == ["tit starts", "tit ends", "new", b"one", b"two"]
    assert viewer.dropped == 0


def test_who_is_slow_goes_on_with_the_newest_sound_and_misses_no_detection() -> None:
    viewer = Viewer()
    for number in range(3 * SOUND + 2):
        viewer.show(bytes([number]))
        if not number % SOUND:
            viewer.tell(str(number))
    words = [str(number) for number in range(0, 3 * SOUND + 2, SOUND)]
    assert read(viewer, 6) == [*words, bytes([3 * SOUND]), bytes([3 * SOUND + 1])]
    assert viewer.dropped == 3 * SOUND


def test_who_never_reads_costs_no_more_memory_than_this() -> None:
    viewer = Viewer()
    for number in range(WORDS + 3):
        viewer.tell(str(number))
    assert read(viewer, WORDS) == [str(number) for number in range(3, WORDS + 3)]
    assert viewer.dropped == 3


def test_who_waits_is_woken() -> None:
    async def wait() -> str | bytes:
        viewer = Viewer()
        waiting = asyncio.create_task(viewer.next())
        await asyncio.sleep(0)
        assert not waiting.done()
        viewer.show(b"sound")
        return await asyncio.wait_for(waiting, 60)

    assert asyncio.run(wait()) == b"sound"
