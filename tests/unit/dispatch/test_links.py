"""Links to the page, for messages: there where others can follow them, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from birdwatchd.config.schema import Config
from birdwatchd.dispatch.links import Links
from birdwatchd.dispatch.plugins import schemas
from tests.doubles import sample_detection, sample_tally

HASH = "$argon2id$v=19$m=19456,t=2,p=1$Y2hpZmZjaGFmZg$3J0"
TIT = sample_detection()
PUBLIC = "https://birds.example.org"


def links(web: dict[str, Any] | None, *keepers: dict[str, Any]) -> Links:
    kind = schemas()["save_clip"]
    actions = [
        kind.model_validate({"name": f"keep{n}", "kind": "save_clip", **one}) for n, one in enumerate(keepers)
    ]
    config = Config.model_validate({"sources": [{"name": "garden", "kind": "microphone"}], "web": web})
    return Links.of(config.model_copy(update={"actions": tuple(actions)}))


def page(**web: Any) -> str:
    return links({"port": 8080, **web}).page(TIT)


@pytest.mark.parametrize(
    ("web", "base"),
    [
        ({"public_url": PUBLIC}, PUBLIC),
        ({"public_url": f"{PUBLIC}/"}, PUBLIC),
        ({"public_url": f"{PUBLIC}:8443/garden", "prefix": "/garden"}, f"{PUBLIC}:8443/garden"),
        ({"public_url": PUBLIC, "address": "0.0.0.0"}, PUBLIC),  # noqa: S104 - nothing listens
        ({"address": "192.168.1.5"}, "http://192.168.1.5:8080"),
        ({"address": "192.168.1.5", "prefix": "/birds"}, "http://192.168.1.5:8080/birds"),
        ({"address": "birds.lan"}, "http://birds.lan:8080"),
        ({"address": "fd00::5"}, "http://[fd00::5]:8080"),
    ],
)
def test_a_page_is_found_where_others_can_reach_it(web: dict[str, Any], base: str) -> None:
    assert page(**web) == f"{base}/detection/{TIT.id}"
    assert links({"port": 8080, **web}, {}).clip(TIT, sample_tally()) == f"{base}/api/v1/clips/{TIT.id}/sound"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost", "0.0.0.0", "::"])  # noqa: S104 - as above
def test_where_nobody_can_know_there_are_no_links(address: str) -> None:
    assert page(address=address) == ""
    assert links({"port": 8080, "address": address}, {}).clip(TIT, sample_tally()) == ""


def test_without_a_page_there_are_no_links() -> None:
    assert links(None, {}).page(TIT) == ""
    assert links(None, {}).clip(TIT, sample_tally()) == ""


def test_with_tokens_alone_there_is_sound_and_no_page() -> None:
    web = {"port": 8080, "public_url": PUBLIC, "tokens": {"home": "0" * 64}}
    assert links(web).page(TIT) == ""
    assert links(web, {}).clip(TIT, sample_tally())
    assert links({**web, "password": HASH}).page(TIT)


@pytest.mark.parametrize(
    ("keeper", "kept"),
    [
        ({}, True),
        ({"on": "started"}, True),
        ({"when": {"species": ["Parus *"]}}, True),
        ({"when": {"species": ["Strix *"]}}, False),
        ({"when": {"sources": ["pond"]}}, False),
        ({"when": {"min_score": 0.99}}, False),
        ({"enabled": False}, False),
        # Of those that keep one now and then nobody knows which.
        ({"cooldown_seconds": 300}, False),
        ({"overall_cooldown_seconds": 300}, False),
        ({"when": {"at_most_per_hour": 6}}, False),
    ],
)
@pytest.mark.parametrize("state", ["started", "ended"])
def test_sound_is_linked_to_where_an_action_keeps_it(keeper: dict[str, Any], kept: bool, state: Any) -> None:
    found = links({"port": 8080, "public_url": PUBLIC}, keeper)
    assert bool(found.clip(replace(TIT, state=state), sample_tally())) is kept


@pytest.mark.parametrize("changes", [{"voice": True}, {"clip_path": ""}])
def test_what_is_never_kept_is_not_linked_to(changes: dict[str, Any]) -> None:
    assert links({"port": 8080, "public_url": PUBLIC}, {}).clip(replace(TIT, **changes), sample_tally()) == ""
    assert links({"port": 8080, "public_url": PUBLIC}).clip(TIT, sample_tally()) == ""
