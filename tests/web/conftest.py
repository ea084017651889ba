"""Fixtures: a station that runs, and a browser."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.web.station import PATIENCE_SECONDS
from tests.web.station import station as running_station

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.web.station import Station


@pytest.fixture(scope="session")
def station(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Iterator[Station]:
    """One that does well, for all who only look at it."""
    # Longer than all the tests of a slow machine: at the end of its sound it would end, too.
    with running_station(tmp_path_factory.mktemp("station"), tiny_bundle, seconds=1800) as there:
        yield there


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, without a window; for a module, as Playwright's loop would be in the way of others' asyncio."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on the PATH; install it: sudo apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: scripts/setup --test")
    sync_api.expect.set_options(timeout=1000 * PATIENCE_SECONDS)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh window; a fault of a script, or anything that it logs as an error, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    yield page
    context.close()
    assert not faults, faults
