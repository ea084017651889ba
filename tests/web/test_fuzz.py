"""The API is asked what nobody would ask: it answers as its description says, whatever it is asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from birdwatchd.web.app import create_app
from tests.rows import BLACKBIRD, candidate, detection, entry
from tests.web.keeping import keep_sound
from tests.web.made_up import client_of, made_up

if TYPE_CHECKING:
    from pathlib import Path

checks = pytest.importorskip(
    "schemathesis.specs.openapi.checks", reason="no schemathesis: scripts/setup --test"
)
schemathesis = pytest.importorskip("schemathesis", reason="no schemathesis: scripts/setup --test")


STEADY = hypothesis.settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
UNSAID = [checks.positive_data_acceptance]
"""Words such as `yesterday` for a time, or the cursor of a page: no schema says which of them mean something."""
HOST = {"Host": "127.0.0.1:8080"}


@pytest.fixture
def described(tmp_path: Path) -> Any:
    """The API of a station that has heard something."""
    heard = detection(7.0, BLACKBIRD, site="pond", clip_path="2026/05/merle")
    rows: list[Any] = [
        *(detection(60.0 * number) for number in range(30)),
        heard,
        candidate(3.0),
        entry(3600.0),
    ]
    house = made_up(tmp_path, rows)
    keep_sound(house.config.store.clips_folder, heard)
    app = create_app(house.house())
    # As a page of the station brings it along: what is refused at the door tries nothing.
    found = re.search(r'name="csrf-token" content="([^"]+)"', client_of(app).get("/review").text)
    assert found
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers=HOST)
    return schema, HOST | {"X-CSRF-Token": found[1]}


def test_every_answer_is_one_that_is_described(described: Any) -> None:
    schema, headers = described
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == "/api/v1/events":
            continue  # it never ends

        @hypothesis.given(case=operation.as_strategy())
        @STEADY
        def ask(case: Any) -> None:
            case.call_and_validate(headers=headers, excluded_checks=UNSAID)

        ask()
        tried.add(operation.path)
    assert {"/api/v1/health", "/api/v1/detections", "/api/v1/clips/{id}/sound", "/api/v1/reviews"} <= tried
