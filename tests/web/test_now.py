"""The page Now in a browser, from the real daemon."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from birdwatchd.web.live import HEADER
from tests.integration.soundserver import SoundServer, needs_sound_server
from tests.integration.waiting import wait_until
from tests.shared import SHARED, needs_shared
from tests.web.station import CONFIG, PATIENCE_SECONDS
from tests.web.station import station as running_station

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.web.station import Station

MARKED = """known => {
  // A bird that is marked on the picture and was not: its id, and its name at the mark and in the list.
  for (const mark of document.querySelectorAll(".mark:not([hidden])")) {
    const { id } = mark.dataset;
    const listed = document.querySelector(`#newest [data-id="${id}"] b`);
    if (!known.includes(id) && listed) return [id, mark.innerText, listed.innerText];
  }
  return null;
}"""
ROW = """async () => {
  // The colours of a row of the picture, after it was drawn again.
  for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
  const canvas = document.querySelector("canvas");
  return [...new Uint32Array(
    canvas.getContext("2d").getImageData(0, canvas.height >> 1, canvas.width, 1).data.buffer)];
}"""
AWAY = """\
  - name: pond
    kind: stream
    url: rtsp://127.0.0.1:1/none
actions:
"""
MICROPHONE = """\
node: wood
model:
  bundle: {bundle}
  inference_threads: 1
sources:
  - name: garden
    kind: microphone
    stall_seconds: 1
store:
  database: {{folder}}/birds.sqlite
  clips_folder: {{folder}}/clips
web:
  port: {{port}}
{{more}}
"""
SURVEY = """\
node: wood
model:
  bundle: {bundle}
  inference_threads: 1
sources:
  - name: garden
    kind: recording
    path: {sound}
    start: now
store:
  database: {{folder}}/birds.sqlite
  clips_folder: {{folder}}/clips
web:
  port: {{port}}
{{more}}
"""


@contextmanager
def window(browser: Browser, **settings: Any) -> Iterator[Page]:
    """As in conftest.py, but that nobody answers is an error in the console, and here it is wanted."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, **settings)
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert not faults, faults


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with window(browser) as page:
        yield page


def see_one_marked(page: Page) -> None:
    """One that was not marked before."""
    known = page.evaluate("[...document.querySelectorAll('.mark')].map((mark) => mark.dataset.id)")
    _, marked, listed = page.wait_for_function(MARKED, arg=known).json_value()
    assert marked == listed


def usable_by_all(page: Page) -> None:
    """axe finds nothing serious."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: scripts/setup --test")
    violations = axe.Axe().run(page).response["violations"]
    serious = [one for one in violations if one["impact"] in {"serious", "critical"}]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == []


def live(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_text("Live", exact=True).wait_for()


def test_a_bird_is_marked_and_said_aloud(page: Page, station: Station) -> None:
    live(page, station.url)
    see_one_marked(page)
    garden = page.get_by_role("region", name="garden")
    expect(garden.get_by_text("listening")).to_be_visible()
    expect(garden.get_by_role("img", name="Live spectrogram of garden")).to_be_visible()
    page.get_by_role("log", name="What is heard").filter(has_text="Tone, garden").wait_for(state="attached")
    # It is seen to go on, and to end.
    garden.locator(".going-on b").first.wait_for()
    page.locator(".mark[data-state=ended]").first.wait_for()


def test_a_bird_is_marked_at_its_message(browser: Browser, station: Station) -> None:
    """The page's clock stands still, so that nothing of it can wait for a time: what is told is all that moves it."""
    with window(browser, reduced_motion="reduce") as page:
        now = datetime.now(UTC)
        page.clock.install(time=now)
        page.clock.pause_at(now + timedelta(hours=1))
        live(page, station.url)
        before = page.evaluate("[Date.now(), performance.now()]")
        see_one_marked(page)
        assert page.evaluate("[Date.now(), performance.now()]") == before


def share_that_moves(page: Page, url: str) -> float:
    """Of the columns of a row in which there was sound: how many look different after two more seconds of sound."""
    heard = [0.0]

    def hear(said: str | bytes) -> None:
        if isinstance(said, bytes):
            _, count, _, seconds, *_ = HEADER.unpack_from(said)
            heard.append(heard[-1] + count * seconds)

    page.on("websocket", lambda socket: socket.on("framereceived", hear))

    def row() -> list[int]:
        colours: list[int] = page.evaluate(ROW)
        return colours

    live(page, url)
    ground, _ = Counter(row()).most_common(1)[0]
    before: list[int] = []

    def has_sound() -> bool:
        before[:] = row()
        return sum(colour != ground for colour in before) >= 40

    wait_until(has_sound, "there is sound on the picture")
    wanted = heard[-1] + 2

    def has_more() -> bool:
        page.wait_for_timeout(100)  # what comes is worked off meanwhile
        return heard[-1] >= wanted

    wait_until(has_more, "there is more of it")
    after = row()
    moved = [old != new for old, new in zip(before, after, strict=True) if old != ground]
    return sum(moved) / len(moved)


def test_the_picture_moves_but_for_those_who_do_not_want_that(browser: Browser, station: Station) -> None:
    moved = {}
    for wanted in ("no-preference", "reduce"):
        with window(browser, reduced_motion=wanted) as page:
            moved[wanted] = share_that_moves(page, station.url)
    assert moved["no-preference"] > 0.5
    # Only at the newest edge, which may have been half drawn.
    assert moved["reduce"] < 0.2


@pytest.fixture
def own(tmp_path: Path, tiny_bundle: Path) -> Iterator[Station]:
    with running_station(
        tmp_path, tiny_bundle, config=CONFIG.replace("actions:\n", AWAY), seconds=600
    ) as there:
        yield there


def test_a_daemon_that_was_killed_is_missed_and_found_again(page: Page, own: Station) -> None:
    live(page, own.url)
    # One of its sources is deaf, and that is seen from afar.
    pond = page.get_by_role("region", name="pond")
    pond.get_by_text("deaf", exact=True).wait_for()
    expect(pond).to_contain_text("Deaf: stream gone")
    expect(page).to_have_title("Deaf: pond · Now · wood")
    usable_by_all(page)
    own.kill()
    page.get_by_role("alert").get_by_text("birdwatchd does not answer since").wait_for()
    expect(page).to_have_title("No connection · Now · wood")
    expect(page.get_by_role("region", name="garden").get_by_text("not known").first).to_be_visible()
    page.get_by_text("It is tried again in").wait_for()
    usable_by_all(page)
    own.start()
    page.get_by_text("Live: birdwatchd was started again").wait_for()
    expect(page.get_by_role("alert")).not_to_be_visible()
    see_one_marked(page)
    # A source that a reload brings is there without anybody's doing.
    own.config.write_text(own.config.read_text().replace("name: pond", "name: lake"))
    own.reload()
    page.get_by_role("region", name="lake").get_by_text("deaf", exact=True).wait_for()
    expect(page.get_by_role("region", name="pond")).to_have_count(0)


@pytest.mark.long
def test_a_daemon_that_hangs_is_missed_too(page: Page, own: Station) -> None:
    live(page, own.url)
    assert own.process is not None
    own.process.send_signal(signal.SIGSTOP)
    page.get_by_role("alert").get_by_text("birdwatchd does not answer since").wait_for()
    own.process.send_signal(signal.SIGCONT)
    page.get_by_text("Live", exact=True).wait_for()
    expect(page.get_by_role("alert")).not_to_be_visible()


@pytest.mark.long
@needs_shared
def test_real_birds_are_marked_and_again_after_a_restart(
    page: Page, tmp_path: Path, birdnet_bundle: Path
) -> None:
    # Again and again: it takes seconds until the page has found a daemon that has begun anew.
    survey, rate = soundfile.read(SHARED / "soundscapes" / "monitoR_survey.wav")
    soundfile.write(tmp_path / "survey.wav", np.tile(survey, 15), rate)
    config = SURVEY.format(bundle=birdnet_bundle, sound=tmp_path / "survey.wav")
    with running_station(tmp_path, birdnet_bundle, config=config, seconds=10) as there:
        live(page, there.url)
        see_one_marked(page)
        page.get_by_text("Ovenbird").first.wait_for()
        there.kill()
        page.get_by_role("alert").get_by_text("birdwatchd does not answer since").wait_for()
        there.start()
        page.get_by_text("Live: birdwatchd was started again").wait_for()
        see_one_marked(page)


@pytest.mark.long
@needs_shared
@needs_sound_server
def test_a_microphone_that_is_unplugged_is_seen_to_be_deaf(
    page: Page, tmp_path: Path, birdnet_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SoundServer(tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        with running_station(
            tmp_path, birdnet_bundle, config=MICROPHONE.format(bundle=birdnet_bundle), seconds=10
        ) as there:
            live(page, there.url)
            playing = threading.Thread(
                target=server.play, args=(SHARED / "soundscapes" / "monitoR_survey.wav",)
            )
            playing.start()
            see_one_marked(page)
            playing.join()
            garden = page.get_by_role("region", name="garden")
            server.unplug()
            garden.get_by_text("deaf", exact=True).wait_for()
            expect(garden.get_by_text("Deaf: ")).to_be_visible()
            server.plug()
            garden.get_by_text("listening", exact=True).wait_for()
            expect(garden.get_by_text("Deaf: ")).not_to_be_visible()
