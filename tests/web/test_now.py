"""The page Now in a browser, from the real daemon."""

from __future__ import annotations

import json
import signal
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.soundserver import SoundServer, needs_sound_server
from tests.integration.waiting import wait_until
from tests.shared import SHARED, needs_shared
from tests.web.station import CONFIG
from tests.web.station import station as running_station

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.web.station import Station

WITHIN_SECONDS = 1.0
PATIENCE_MS = 60_000
NOTE_MARKS = """
window.marked = {};
new MutationObserver((changes) => {
  for (const change of changes) {
    for (const node of change.addedNodes) {
      if (node.classList?.contains("mark")) window.marked[node.dataset.id] ??= Date.now() / 1000;
    }
  }
}).observe(document, {subtree: true, childList: true});
"""
MOVED = """async () => {
  // Of the columns of a row in which there was sound, the share that looks different once as many others show some.
  const canvas = document.querySelector("canvas");
  const read = () => [...new Uint32Array(
    canvas.getContext("2d").getImageData(0, canvas.height >> 1, canvas.width, 1).data.buffer)];
  const counts = new Map();
  for (const colour of read()) counts.set(colour, (counts.get(colour) ?? 0) + 1);
  const [ground] = [...counts].reduce((one, other) => (other[1] > one[1] ? other : one));
  const until = async (isSo) => { while (!isSo()) await new Promise(requestAnimationFrame); };
  const painted = (row) => row.flatMap((colour, at) => (colour === ground ? [] : [at]));
  await until(() => painted(read()).length >= 40);
  const before = read(), there = painted(before);
  let after;
  await until(() => painted(after = read()).filter((at) => before[at] === ground).length >= 20);
  return there.filter((at) => after[at] !== before[at]).length / there.length;
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


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """As in conftest.py, but that nobody answers is an error in the console, and here it is wanted."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.add_init_script(NOTE_MARKS)
    yield page
    context.close()
    assert not faults, faults


def told(station: Station) -> dict[str, float]:
    """When each detection was told of: its message in the log, in seconds since 1970."""
    lines = [json.loads(line) for line in station.log.splitlines() if line.startswith("{")]
    return {
        line["id"]: datetime.fromisoformat(line["timestamp"]).timestamp()
        for line in lines
        if line["event"] == "detection"
    }


def see_one_marked(page: Page, station: Station, after: float) -> None:
    """One that begins after that time (seconds since 1970) is marked within a second of its message."""

    def marked() -> dict[str, float]:
        # Through the page, so that its events are worked off meanwhile.
        page.wait_for_timeout(100)
        seen: dict[str, float] = page.evaluate("window.marked")
        return {key: at for key, at in seen.items() if told(station).get(key, 0) > after}

    wait_until(marked, "a bird is marked", 60)
    key, at = next(iter(marked().items()))
    assert at - told(station)[key] < WITHIN_SECONDS
    mark = page.locator(f'.mark[data-id="{key}"]')
    assert mark.bounding_box() is not None
    name = mark.inner_text()
    assert page.locator(f'#newest [data-id="{key}"] b').inner_text() == name


def usable_by_all(page: Page) -> None:
    """axe finds nothing serious."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: scripts/setup --test")
    violations = axe.Axe().run(page).response["violations"]
    serious = [one for one in violations if one["impact"] in {"serious", "critical"}]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == []


def now(page: Page) -> float:
    seconds: float = page.evaluate("Date.now() / 1000")
    return seconds


def live(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_text("Live", exact=True).wait_for()


def test_a_bird_is_marked_within_a_second_of_its_message_and_said_aloud(page: Page, station: Station) -> None:
    live(page, station.url)
    see_one_marked(page, station, now(page))
    garden = page.get_by_role("region", name="garden")
    assert garden.get_by_text("listening").is_visible()
    assert garden.get_by_role("img", name="Live spectrogram of garden").is_visible()
    page.get_by_role("log", name="What is heard").filter(has_text="Tone, garden").wait_for(state="attached")
    # It is seen to go on, and to end.
    garden.locator(".going-on b").first.wait_for()
    page.locator(".mark[data-state=ended]").first.wait_for()


def test_the_picture_moves_but_for_those_who_do_not_want_that(browser: Browser, station: Station) -> None:
    moved = {}
    for wanted in ("no-preference", "reduce"):
        context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion=wanted)
        page = context.new_page()
        live(page, station.url)
        moved[wanted] = page.evaluate(MOVED)
        context.close()
    assert moved["no-preference"] > 0.5
    # Only at the newest edge, which may have been half drawn.
    assert moved["reduce"] < 0.2


@pytest.fixture
def own(tmp_path: Path, tiny_bundle: Path) -> Iterator[Station]:
    with running_station(
        tmp_path, tiny_bundle, config=CONFIG.replace("actions:\n", AWAY), seconds=120
    ) as there:
        yield there


def test_a_daemon_that_was_killed_is_missed_and_found_again(page: Page, own: Station) -> None:
    live(page, own.url)
    # One of its sources is deaf, and that is seen from afar.
    pond = page.get_by_role("region", name="pond")
    pond.get_by_text("deaf", exact=True).wait_for()
    assert "Deaf: stream gone" in pond.inner_text()
    assert page.title() == "Deaf: pond · Now · wood"
    usable_by_all(page)
    own.kill()
    page.get_by_role("alert").get_by_text("birdwatchd does not answer since").wait_for()
    assert page.title() == "No connection · Now · wood"
    assert page.get_by_role("region", name="garden").get_by_text("not known").first.is_visible()
    page.get_by_text("It is tried again in").wait_for()
    usable_by_all(page)
    own.start()
    page.get_by_text("Live: birdwatchd was started again").wait_for()
    assert not page.get_by_role("alert").is_visible()
    see_one_marked(page, own, now(page))
    # A source that a reload brings is there without anybody's doing.
    own.config.write_text(own.config.read_text().replace("name: pond", "name: lake"))
    own.reload()
    page.get_by_role("region", name="lake").get_by_text("deaf", exact=True).wait_for()
    assert page.get_by_role("region", name="pond").count() == 0


@pytest.mark.long
def test_a_daemon_that_hangs_is_missed_too(page: Page, own: Station) -> None:
    live(page, own.url)
    assert own.process is not None
    own.process.send_signal(signal.SIGSTOP)
    page.get_by_role("alert").get_by_text("birdwatchd does not answer since").wait_for()
    own.process.send_signal(signal.SIGCONT)
    page.get_by_text("Live", exact=True).wait_for()
    assert not page.get_by_role("alert").is_visible()


@pytest.mark.long
@needs_shared
def test_real_birds_are_marked_within_a_second_of_their_messages(
    page: Page, tmp_path: Path, birdnet_bundle: Path
) -> None:
    config = SURVEY.format(bundle=birdnet_bundle, sound=SHARED / "soundscapes" / "monitoR_survey.wav")
    with running_station(tmp_path, birdnet_bundle, config=config, seconds=10) as there:
        live(page, there.url)
        see_one_marked(page, there, now(page))
        page.get_by_text("Ovenbird").first.wait_for()
        there.kill()
        page.get_by_role("alert").get_by_text("birdwatchd does not answer since").wait_for()
        there.start()
        page.get_by_text("Live: birdwatchd was started again").wait_for()
        see_one_marked(page, there, now(page))
        seen: dict[str, Any] = page.evaluate("window.marked")
        delays = [at - told(there)[key] for key, at in seen.items() if key in told(there)]
    assert max(delays) < WITHIN_SECONDS


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
            began = now(page)
            playing.start()
            see_one_marked(page, there, began)
            playing.join()
            garden = page.get_by_role("region", name="garden")
            server.unplug()
            garden.get_by_text("deaf", exact=True).wait_for()
            assert garden.get_by_text("Deaf: ").is_visible()
            server.plug()
            garden.get_by_text("listening", exact=True).wait_for()
            assert not garden.get_by_text("Deaf: ").is_visible()
