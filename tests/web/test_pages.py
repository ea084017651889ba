"""Every page, in a browser, from the real daemon: usable by all, on any screen, and asking nobody else for anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

from tests.integration.waiting import wait_until
from tests.web.station import station as running_station

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.web.station import Station

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}


def addresses(station: Station) -> list[str]:
    """Of every page there is: the entries of the navigation, and one of each kind that they lead to."""

    def heard() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = station.get("/api/v1/detections").json()["detections"]
        return [one for one in found if one["state"] == "ended"]

    wait_until(heard, "a detection that has ended")
    first = station.get("/sources").text
    entries = sorted({piece.partition('"')[0] for piece in first.split('<a href="')[1:]})
    first_heard = heard()[0]
    day, name = first_heard["start"][:10], quote(first_heard["scientific_name"])
    deeper = [
        f"/detection/{first_heard['id']}",
        f"/day/{day}/{name}",
        f"/species/{name}",
        f"/calendar/{day[:4]}",
        "/figures?judged=all",
        "/nothing-is-here",
    ]
    return [*entries, *deeper]


@pytest.mark.parametrize(
    ("scheme", "size"),
    [
        pytest.param("light", PHONE, id="light, phone"),
        pytest.param("dark", DESK, id="dark, desk"),
        pytest.param("dark", PHONE, id="dark, phone", marks=pytest.mark.long),
        pytest.param("light", DESK, id="light, desk", marks=pytest.mark.long),
    ],
)
def test_everybody_can_use_every_page(browser: Browser, station: Station, scheme: Any, size: Any) -> None:
    """axe knows what keeps people out: too little contrast, fields without labels, what no keyboard reaches."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: scripts/setup --test")
    found, asked = [], set()
    context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.on("websocket", lambda socket: asked.add(urlsplit(socket.url).netloc))
    for path in addresses(station):
        page.goto(f"{station.url}{path}")
        page.wait_for_load_state("load")
        for one in axe.Axe().run(page).response["violations"]:
            if one["impact"] in {"serious", "critical"}:
                where = [node["html"][:120] for node in one["nodes"][:3]]
                found.append(f"{path} ({size['width']}): {one['id']}: {one['help']}: {where}")
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > size["width"]:
            found.append(f"{path} ({size['width']}) is {width} pixels wide")
    context.close()
    assert not found, "\n".join(found)
    assert asked == {f"127.0.0.1:{station.port}"}


def test_the_keyboard_reaches_the_content_first(page: Page, station: Station) -> None:
    page.goto(f"{station.url}/sources")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_the_api_is_told_without_help_from_elsewhere(page: Page, station: Station) -> None:
    page.goto(f"{station.url}/api")
    schema = station.get("/api/v1/openapi.json").json()
    for path in schema["paths"]:
        assert page.locator("summary code", has_text=path).count() >= 1, path
    with page.expect_download() as download:
        page.get_by_role("link", name="OpenAPI").click()
    assert download.value.suggested_filename == "openapi.json"


def test_sources_are_told_anew_while_somebody_looks_and_that_nobody_answers(
    browser: Browser, tmp_path: Path, tiny_bundle: Path
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    with running_station(tmp_path, tiny_bundle) as there:
        page.goto(f"{there.url}/sources")
        first = page.locator(".heading time").first.inner_text()
        page.clock.run_for(11_000)
        page.wait_for_function(
            "first => document.querySelector('.heading time').textContent !== first", arg=first
        )
        assert not page.locator("#away").is_visible()
        there.kill()
        page.clock.run_for(11_000)
        page.locator("#away").wait_for(state="visible")
        there.start()
        page.clock.run_for(11_000)
        page.locator("#away").wait_for(state="hidden")
    context.close()
