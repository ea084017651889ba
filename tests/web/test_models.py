"""A bundle is exchanged while the daemon runs, and the page tells which model said what."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.integration.waiting import wait_until
from tests.tiny import CARD, build_tiny_bundle
from tests.web.station import station

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.station import Station


def by_model(there: Station) -> dict[str, str]:
    """An ended detection of each model."""
    found = there.get("/api/v1/detections?limit=100").json()["detections"]
    return {one["model"]: one["id"] for one in found if one["state"] == "ended"}


@pytest.mark.long
def test_after_a_reload_each_detection_shows_the_model_that_said_it(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    other = build_tiny_bundle(tmp_path / "other.pt", card=replace(CARD, name="other", version="2"))
    with station(tmp_path, tiny_bundle) as there:
        wait_until(lambda: len(by_model(there)) == 1, "a detection of the first model")
        there.config.write_text(there.config.read_text().replace(str(tiny_bundle), str(other)))
        there.reload()
        wait_until(lambda: len(by_model(there)) == 2, "a detection of the second model")
        found = by_model(there)
        assert sorted(found) == ["other-2", "tiny-1"]
        for model, identity in found.items():
            text = there.get(f"/review?at={identity}").text
            assert f"{model} said so with" in text
            assert there.get(f"/api/v1/detections/{identity}").json()["model"] == model
