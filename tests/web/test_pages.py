"""Every page, in a browser, from the real daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.web.station import Station


def test_the_sources_are_shown(page: Page, station: Station) -> None:
    page.goto(f"{station.url}/sources")
    assert page.title() == "Sources · wood"
    assert page.get_by_role("heading", name="garden").is_visible()
