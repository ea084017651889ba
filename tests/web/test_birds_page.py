"""The day's page in a browser, from the real daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.web.station import Station


def test_the_best_clip_of_today_plays_in_its_place(page: Page, station: Station) -> None:
    def has_a_clip() -> bool:
        page.goto(f"{station.url}/today")
        return page.locator("[data-play]").count() > 0

    wait_until(has_a_clip, "a clip on the page of today")
    button = page.locator("[data-play]").first
    assert button.get_attribute("role") == "button"
    with page.expect_response(lambda answer: answer.url.endswith("/sound")) as heard:
        button.click()
    assert heard.value.status in {200, 206}
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert page.url.endswith("/today")
    # By keys as well.
    button.focus()
    page.keyboard.press("Space")
    assert button.get_attribute("aria-pressed") == "true"


def test_another_day_is_chosen_by_its_date(page: Page, station: Station) -> None:
    page.goto(f"{station.url}/today")
    page.get_by_label("Another day").fill("2026-02-03")
    page.wait_for_url("**/day/2026-02-03")
    assert page.get_by_role("heading", level=1).inner_text() == "Tue 3 Feb 2026"
    page.get_by_role("link", name="The next day").click()
    page.wait_for_url("**/day/2026-02-04")


def test_today_is_kept_up_to_date(page: Page, station: Station) -> None:
    page.clock.install()
    page.goto(f"{station.url}/today")
    page.evaluate("document.querySelector('[data-again]').dataset.old = 'yes'")
    page.clock.fast_forward("01:05")
    expect(page.locator("[data-again]")).not_to_have_attribute("data-old", "yes")
