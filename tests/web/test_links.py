"""The links in messages open what they promise: a real daemon, a real broker, and a browser's requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.integration import mosquitto
from tests.integration.mosquitto import PASSWORD, USER, Mosquitto
from tests.integration.waiting import wait_until
from tests.ports import free_port
from tests.web.station import CONFIG, PATIENCE_SECONDS, Station, write_sound

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(bool(mosquitto.missing()), reason=mosquitto.missing())
TELL = """\
  - name: tell-home
    kind: mqtt
    host: localhost
    port: {broker}
    username: {user}
    password: "{password}"
store:
"""


@pytest.mark.long
def test_links_of_a_message_are_answered_and_follow_a_reload(tmp_path: Path, tiny_bundle: Path) -> None:
    (tmp_path / "broker").mkdir()
    write_sound(tmp_path / "day.wav")
    there = Station(tmp_path, free_port())
    with Mosquitto(tmp_path / "broker") as broker, broker.subscriber("#") as everything:
        tell = TELL.format(broker=broker.port, user=USER, password=PASSWORD)
        config = CONFIG.replace("store:\n", tell).format(
            bundle=tiny_bundle,
            folder=tmp_path,
            port=there.port,
            more=f"  prefix: /garden\n  public_url: {there.url}/garden/",
        )
        there.config.write_text(config)
        there.config.chmod(0o600)
        try:
            there.start()
            told = json.loads(everything.wait_for("birdwatchd/wood")[0].payload)
            assert told["pageUrl"] == f"{there.url}/garden/detection/{told['id']}"
            page = httpx.get(told["pageUrl"], timeout=PATIENCE_SECONDS)
            assert page.status_code == 200
            assert told["CommonName"] in page.text

            def clip() -> httpx.Response:
                return httpx.get(told["clipUrl"], timeout=PATIENCE_SECONDS)

            wait_until(lambda: clip().status_code == 200, told["clipUrl"])
            assert clip().content.startswith(b"fLaC")

            there.config.write_text(config.replace("  public_url:", "  # public_url:"))
            there.reload()

            def has_link() -> list[bool]:
                messages = [json.loads(one.payload) for one in everything.heard("birdwatchd/wood")]
                return [bool({"pageUrl", "clipUrl"} & one.keys()) for one in messages]

            # Some were told before it, and may be heard after it.
            wait_until(lambda: has_link()[-2:] == [False, False], "messages without links")
            assert has_link() == sorted(has_link(), reverse=True)
        finally:
            there.kill()
