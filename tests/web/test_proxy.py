"""Behind a real nginx, which does TLS and shows the page below a prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from birdwatchd.web.password import hash_of
from tests.integration.waiting import wait_until
from tests.web.nginx import NGINX, nginx
from tests.web.station import station

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.web.station import Station

pytestmark = pytest.mark.skipif(
    NGINX is None, reason="no nginx; install it: sudo apt-get install nginx-light"
)
PASSWORD = "three brown owls"  # noqa: S105 - it opens nothing but this


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Iterator[Station]:
    more = f"  prefix: /birds\n  password: {hash_of(PASSWORD)}"
    with station(tmp_path_factory.mktemp("behind"), tiny_bundle, more=more) as there:
        yield there


@pytest.mark.parametrize("end", ["", "/"], ids=["the prefix stays", "nginx takes it away"])
def test_all_of_it_works_below_a_prefix_over_tls(
    behind: Station, browser: Browser, tmp_path: Path, end: str
) -> None:
    with nginx(tmp_path / "nginx", f"http://127.0.0.1:{behind.port}{end}") as url:
        context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 800})
        page, faults, asked = context.new_page(), [], []
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        page.on("response", lambda answer: asked.append((answer.status, answer.url)))
        page.on("websocket", lambda socket: socket.on("framereceived", lambda _: heard.append(socket.url)))
        heard: list[str] = []

        page.goto(f"{url}/sources")
        assert urlsplit(page.url).path == "/birds/login"
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("Your name").fill("Ann")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"{url}/sources")
        assert page.get_by_role("heading", name="garden").is_visible()
        (cookie,) = context.cookies()
        assert (cookie["secure"], cookie["httpOnly"], cookie["path"]) == (True, True, "/birds/")

        for path in [one.get_attribute("href") for one in page.locator("header nav > a").all()]:
            page.goto(f"https://{urlsplit(url).netloc}{path}")
        page.goto(f"{url}/")

        def is_live() -> bool:
            page.wait_for_timeout(100)  # its events are worked off meanwhile
            return bool(heard)

        wait_until(is_live, "something comes over the WebSocket")
        assert heard[0].startswith(f"wss://{urlsplit(url).netloc}/birds/")

        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/birds/login*")
        page.goto(f"{url}/sources")
        assert urlsplit(page.url).path == "/birds/login"
        context.close()
    assert not faults, faults
    assert [one for one in asked if one[0] >= 400 or not one[1].startswith(f"{url}/")] == []
    assert '"client": "127.0.0.1"' in behind.log
