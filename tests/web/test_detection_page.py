"""The page of a detection: what is known of it, also where its sound is gone, whatever it is called."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from birdwatchd.audio.windows import Plan
from birdwatchd.domain import Tally
from birdwatchd.store import deliveries
from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Order, Outcome
from birdwatchd.store.kept import Cut, Missing
from birdwatchd.store.outbox import Outbox
from birdwatchd.web.story import gates_passed
from birdwatchd.web.strip import lay_out
from tests.integration.waiting import wait_until
from tests.rows import BLACKBIRD, COOT, DAWN, GREAT_TIT, candidate, detection
from tests.web.keeping import keep_picture, keep_sound
from tests.web.made_up import made_up

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from birdwatchd.domain import Candidate, Detection
    from birdwatchd.web.strip import Part
    from tests.web.station import Station

EVIL_NAME = "<img src=x onerror=alert(1)>\"'\n&amp;"
TIT = detection(100, GREAT_TIT, seconds=9, clip_path="2026/05/09/tit")
EVIL = detection(
    200,
    replace(COOT, common_name=EVIL_NAME, scientific_name="<b>x</b>"),
    source="<i>wood</i>",
    clip_path="2026/05/09/evil",
)
SCORES = [
    candidate(
        97 + 1.5 * number, GREAT_TIT, score=score, gate="detection" if score > 0.7 else "threshold", reason=""
    )
    for number, score in enumerate((0.2, 0.75, 0.9, 0.8, 0.3))
]
ROWS: list[Detection | Candidate] = [
    TIT,
    EVIL,
    detection(300, BLACKBIRD),
    *SCORES,
    candidate(200, EVIL.label),
]
PLAN = Plan(6.0, 1.5, 48000, 144_000)


def text_of(page: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", page).split())


def test_all_that_is_known_is_told(tmp_path: Path) -> None:
    house = made_up(tmp_path, ROWS)
    keep_sound(tmp_path / "clips", TIT, gap=0.25)
    keep_picture(tmp_path / "clips", TIT, 3)
    page = house.ask().get(f"/detection/{TIT.id}").text
    text = text_of(page)
    assert "<title>Great Tit · wood</title>" in page
    assert "Sat 9 May 2026 , 06:43:50 · garden" in text
    for link in ("/day/2026-05-09", "/species/Parus%20major", f"/review?at={TIT.id}"):
        assert f'href="{link}"' in page
    assert "Threshold. The score reached 0.93; 0.70 was needed." in text
    assert "Species range. It is expected here this week: 0.250, and 0.03 is enough." in text
    assert "Around it, these were stopped: 2 windows: Threshold" in text
    assert f'src="/api/v1/clips/{TIT.id}/sound"' in page
    assert f'src="/api/v1/clips/{TIT.id}/pictures/3" alt="Picture 3 of gate at 06:42:11"' in page
    assert f'href="/detection/{EVIL.id}" rel="next"' in page
    assert 'rel="prev"' not in page
    assert "0.2 s missing" in text
    assert "low frequencies below 200 Hz were taken out" in text
    for file in ("sound?format=wav", "sound?format=flac", "raven"):
        assert f'href="/api/v1/clips/{TIT.id}/{file}' in page


def test_a_name_is_text_and_nothing_else(tmp_path: Path) -> None:
    page = made_up(tmp_path, ROWS).ask().get(f"/detection/{EVIL.id}").text
    assert "<img src=x" not in page
    assert "<b>x</b>" not in page
    assert "<i>wood</i>" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;&#34;&#39;" in page


def test_under_a_prefix_every_link_begins_with_it(tmp_path: Path) -> None:
    house = made_up(tmp_path, ROWS, web={"prefix": "/birds"})
    keep_sound(tmp_path / "clips", TIT)
    page = house.ask().get(f"/birds/detection/{TIT.id}").text
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert links
    assert [link for link in links if not link.startswith(("/birds/", "?", "#"))] == []


@pytest.mark.parametrize("identity", ["0" * 20, "x", "..%2F..%2Fetc", "%00", "<script>"])
def test_what_is_not_there_is_said(tmp_path: Path, identity: str) -> None:
    answer = made_up(tmp_path, ROWS).ask().get(f"/detection/{identity}")
    assert answer.status_code == 404
    assert "There is no" in answer.text
    assert "<script>" not in answer.text


def test_sound_that_has_given_way_is_said_and_no_picture_is_broken(tmp_path: Path) -> None:
    house = made_up(tmp_path, ROWS)
    with Database.open_beside(tmp_path / "birds.sqlite") as database:
        with database.transaction() as connection:
            orders = [
                Order("keep", "bounded", timedelta(days=7)),
                Order("mqtt", "durable", timedelta(days=7)),
                Order("push", "durable", timedelta(days=7)),
            ]
            deliveries.add(connection, TIT, Tally(1, True, True, False), orders, now=DAWN)
        numbers = {entry.delivery.action: entry.number for entry in deliveries.of(database, TIT.id)}
        Outbox(database).settle(
            [
                Outcome(numbers["keep"], "done", 1, notes={"kept": True}),
                Outcome(numbers["mqtt"], "dead", 3, "broker says no"),
                Outcome(numbers["push"], "waiting", 1, "no route", DAWN + timedelta(seconds=60)),
            ],
            DAWN + timedelta(seconds=2),
        )
    page = house.ask().get(f"/detection/{TIT.id}").text
    text = text_of(page)
    assert "Its sound was kept, and has given way since: store.retention" in text
    assert "spectrogram.png" not in page
    assert "<audio" not in page
    assert "keep done when it ended Done at 06:42:12, 2.0 s after. Noted: kept: yes." in text
    assert f"Broker says no. birdwatchd deliveries --retry {TIT.id}/ended/mqtt lets it wait again." in text
    assert "It was tried once, without success: no route. The next attempt is due at 06:43:10." in text


def test_what_the_range_did_not_expect_was_named() -> None:
    steps = {step.gate: step.words for step in gates_passed(replace(TIT, occurrence=0.002), 0.03)}
    assert steps["Species range"].startswith(
        "It is not expected here this week (0.002 below 0.03): the config lets"
    )
    steps = {step.gate: step.words for step in gates_passed(replace(TIT, occurrence=None, voice=True), 0.03)}
    assert steps["Species range"].startswith("Whether it lives here was not asked")
    assert "no sound of them is kept" in steps["Voice"]


def place(part: Part | None) -> tuple[float, float]:
    assert part is not None
    return part.left, part.width


def test_a_clip_whose_json_is_gone_is_shown_without_marks(tmp_path: Path) -> None:
    house = made_up(tmp_path, ROWS)
    keep_sound(tmp_path / "clips", TIT)
    (tmp_path / "clips" / f"{TIT.clip_path}.json").unlink()
    client = house.ask()
    page = client.get(f"/detection/{TIT.id}").text
    assert "Where the detection lies in it is not known" in page
    assert 'class="call"' not in page
    shown = re.findall(r'<img src="(/api/[^"]*spectrogram[^"]*)"', page)
    assert len(shown) == 1
    assert client.get(shown[0].replace("&amp;", "&")).status_code == 200
    assert "/raven" not in page


def test_what_is_no_sound_is_said_and_no_picture_is_broken(tmp_path: Path) -> None:
    house = made_up(tmp_path, ROWS)
    keep_sound(tmp_path / "clips", TIT)
    (tmp_path / "clips" / f"{TIT.clip_path}.flac").write_bytes(b"no sound" * 99)
    page = house.ask().get(f"/detection/{TIT.id}").text
    assert "What lies there is no sound that can be read" in page
    assert "spectrogram.png" not in page


def test_marks_lie_where_the_samples_are() -> None:
    """A clip of 20 s from 95 s on: the detection is from 100 to 109, the best window from 100 to 106."""
    cut = Cut(48000, 95 * 48000, 20 * 48000, (Missing(10, 0.5, "lost"),), {})
    strip = lay_out(TIT, cut, SCORES, PLAN)
    assert (strip.begin, strip.end) == (0, 20)
    assert place(strip.call) == (25, 45)
    assert place(strip.window) == (25, 30)
    assert [(one.left, one.width) for one in strip.segments] == [(25, 15), (32.5, 15), (40, 15)]
    assert [(one.x, one.y, one.is_shown) for one in strip.points][:3] == [
        (25, 80, False),
        (32.5, 25, False),
        (40, 10, True),
    ]
    assert [(gap.at, gap.words) for gap in strip.gaps] == [(50, "0.5 s missing")]
    assert [(tick.at, tick.words) for tick in strip.kilohertz] == [
        (80, "3"),
        (60, "6"),
        (40, "9"),
        (20, "12"),
        (0, "15"),
    ]
    close = lay_out(TIT, cut, SCORES, PLAN, reach="call", high_hz=4000, window=SCORES[1].start_sample)
    assert (close.begin, close.end) == (4.5, 14.5)
    assert place(close.call) == (5, 90)
    assert close.window is not None
    assert (close.window.begin, close.window.left, close.window.width) == (3.5, 0, 50)
    assert [tick.words for tick in close.seconds] == ["6", "8", "10", "12", "14"]


def test_where_there_is_no_clip_the_scores_are_laid_out_all_the_same() -> None:
    strip = lay_out(TIT, None, SCORES, None)
    assert (strip.begin, strip.end) == (-3, 12)
    assert place(strip.call) == (20, 60)
    assert strip.window is None
    assert [one.x for one in strip.points] == [0, 10, 20, 30, 40]


def test_the_line_follows_the_sound_and_a_click_leads_to_its_place(page: Page, station: Station) -> None:
    wait_until(lambda: kept(station), "a clip")
    page.goto(f"{station.url}/detection/{kept(station)}")
    assert page.get_by_role("heading", level=1).inner_text() in ("High Tone", "Low Tone")
    image = page.get_by_role("img", name="Spectrogram of")
    assert image.evaluate("one => one.complete && one.naturalWidth > 600")
    place = page.locator(".strip .head line")
    page.locator("audio").evaluate("one => { one.muted = true; }")
    box = image.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("() => !document.querySelector('audio').paused")
    page.wait_for_function("() => parseFloat(document.querySelector('.head line').getAttribute('x1')) > 55")
    at, length = page.locator("audio").evaluate("one => [one.currentTime, one.duration]")
    assert at > 0.5 * length
    page.locator("audio").evaluate("one => one.pause()")
    assert "there" in str(place.get_attribute("class"))
    page.get_by_role("link", name="The call").click()
    page.wait_for_selector(".choice a[aria-current]:text('The call')")
    assert float(str(page.locator(".strip").get_attribute("data-end"))) < length - 1


def test_the_keys_play_and_lead_to_the_detections_beside_it(page: Page, station: Station) -> None:
    wait_until(lambda: kept(station), "a clip")
    first = kept(station)
    wait_until(lambda: kept(station) != first, "the clip of a later one")
    there = f"{station.url}/detection/{kept(station)}"
    page.goto(there)
    page.locator("audio").evaluate("one => { one.muted = true; }")
    page.keyboard.press(" ")
    page.wait_for_function("() => !document.querySelector('audio').paused")
    assert page.evaluate("scrollY") == 0
    page.keyboard.press(" ")
    page.wait_for_function("() => document.querySelector('audio').paused")
    # The newest has none after it: so one goes back first, and then forth again.
    older = page.locator("a[rel=prev]").get_attribute("href")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"{station.url}{older}")
    # Who moves about in a table stays.
    page.get_by_text("Every window").click()
    scroll = page.get_by_role("region", name="Every window")
    scroll.focus()
    page.keyboard.press("ArrowRight")
    scroll.blur()
    page.keyboard.press("Control+ArrowRight")
    assert page.url == f"{station.url}{older}"
    page.keyboard.press("ArrowRight")
    page.wait_for_url(there)


def kept(station: Station) -> str:
    """The id of a detection whose clip is there; empty while there is none."""
    for one in station.get("/api/v1/detections").json()["detections"]:
        if station.get(f"/api/v1/clips/{one['id']}").json()["sound"]:
            return str(one["id"])
    return ""


def test_a_detection_that_goes_on_becomes_whole_by_itself(page: Page, station: Station) -> None:
    def is_shown() -> bool:
        """One that goes on; it may have ended before its page was there, and then it is another's turn."""
        found = station.get("/api/v1/detections?limit=3").json()["detections"]
        for one in found:
            if one["state"] == "started":
                page.goto(f"{station.url}/detection/{one['id']}")
                return page.get_by_text("goes on").count() > 0
        return False

    wait_until(is_shown, "a detection that goes on")
    page.wait_for_selector("audio.sound")
    assert page.get_by_text("goes on").count() == 0
