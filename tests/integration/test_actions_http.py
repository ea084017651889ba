"""Webhooks and notifications, to a real web server."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from birdwatchd.actions import GiveUp, Postpone
from birdwatchd.actions.notify import Notify
from birdwatchd.actions.webhook import Webhook, key_of, signature
from tests.doubles import FakeContext, sample_delivery, sample_detection
from tests.integration.web import WebServer, own_certificate
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    with WebServer(tmp_path / "web") as running:
        yield running


def webhook(url: str, **settings: Any) -> Webhook:
    given = {"name": "one", "kind": "webhook", "url": url, **settings}
    return Webhook(Webhook.Config.model_validate(given))


def test_a_detection_is_posted_and_signed(server: WebServer) -> None:
    context = FakeContext()
    began = int(datetime.now(UTC).timestamp())
    signing = {"secret": "wren"}
    headers = {"Authorization": "Bearer t", "content-type": "text/plain"}
    with webhook(f"{server.url}/birds", **signing, headers=headers) as one:
        one.run(sample_detection(), context)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/birds")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "Bearer t"
    assert request.headers["webhook-id"] == context.delivery.key
    seconds = int(request.headers["webhook-timestamp"])
    assert seconds >= began
    made = signature(key_of(one.config.secret), context.delivery.key, seconds, request.body)  # type: ignore[arg-type] # it is given above
    assert request.headers["webhook-signature"] == made
    assert json.loads(request.body)["detection"]["common_name"] == "Great Tit"
    assert context.notes == {"status": 200}


def test_the_connection_is_kept(server: WebServer) -> None:
    with webhook(server.url) as one:
        for _ in range(3):
            one.run(sample_detection(), FakeContext())
    assert len({request.peer for request in server.requests}) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_a_refusal_is_final(server: WebServer, status: int) -> None:
    with webhook(f"{server.url}/status/{status}") as one, pytest.raises(GiveUp) as refused:
        one.run(sample_detection(), FakeContext())
    assert str(refused.value) == f"127.0.0.1:{server.port} answers {status}: <html>no such thing</html>"


def test_a_redirect_is_not_followed(server: WebServer) -> None:
    with webhook(f"{server.url}/moved") as one, pytest.raises(GiveUp, match=r"answers 302; it has moved"):
        one.run(sample_detection(), FakeContext())
    assert [request.path for request in server.requests] == ["/moved"]


def test_a_server_in_trouble_is_asked_again(server: WebServer) -> None:
    server.plan((503, {}, "down"), (429, {"Retry-After": "30"}, "too many"), (500, {"Retry-After": "x"}, ""))
    with webhook(f"{server.url}/plan") as one:
        said = []
        for _ in range(3):
            with pytest.raises(Postpone) as later:
                one.run(sample_detection(), FakeContext())
            said.append((str(later.value).partition(" ")[2], later.value.seconds))
        one.run(sample_detection(), FakeContext())
    assert said == [("answers 503: down", None), ("answers 429: too many", 30.0), ("answers 500", None)]


def test_an_answer_with_our_secrets_in_it_is_not_repeated(server: WebServer) -> None:
    server.plan((400, {}, "wrong: Bearer hush"))
    with (
        webhook(f"{server.url}/plan?key=1", headers={"Authorization": "Bearer hush"}) as one,
        pytest.raises(GiveUp, match=r"wrong: \*\*\*$"),
    ):
        one.run(sample_detection(), FakeContext())


def test_nobody_there_is_told_without_the_address() -> None:
    url = f"http://u:hush@127.0.0.1:{free_port()}/hush?hush"
    with webhook(url) as one, pytest.raises(Postpone) as later:
        one.run(sample_detection(), FakeContext())
    assert "cannot be reached: Connection refused" in str(later.value)
    assert "hush" not in str(later.value)
    with (
        webhook("http://nobody.invalid") as one,
        pytest.raises(Postpone, match=r"^nobody.invalid cannot be reached"),
    ):
        one.run(sample_detection(), FakeContext())


def test_only_a_server_that_proves_itself_is_told(tmp_path: Path) -> None:
    certificate, known = own_certificate(tmp_path)
    with WebServer(tmp_path / "web", certificate=certificate) as server:
        with webhook(server.url) as one, pytest.raises(Postpone, match=r"certificate verify failed: self"):
            one.run(sample_detection(), FakeContext())
        with webhook(server.url, ca=str(known)) as one:
            one.run(sample_detection(), FakeContext())
        with (
            webhook(server.url, ca=str(tmp_path / "none.pem")) as one,
            pytest.raises(Postpone, match="No such file"),
        ):
            one.run(sample_detection(), FakeContext())
        assert len(server.requests) == 1


def test_a_delivery_that_comes_twice_has_the_same_identity(server: WebServer) -> None:
    context = FakeContext(delivery=sample_delivery("tell", attempts=3))
    with webhook(server.url) as one:
        one.run(sample_detection(), context)
        one.run(sample_detection(), context)
    first, second = server.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def notify(*urls: str, **settings: Any) -> Notify:
    pytest.importorskip("apprise")
    given = {"name": "one", "kind": "notify", "urls": urls, **settings}
    return Notify(Notify.Config.model_validate(given))


def clips(folder: Path) -> FakeContext:
    """A detection's sound and two pictures, in a folder whose name an address could not hold as it is."""
    context = FakeContext(clips_folder=folder / "wood & 100%?")
    stem = context.clips_folder / sample_detection().clip_path
    stem.parent.mkdir(parents=True)
    for suffix in (".flac", "_1.jpg", "_2.jpg"):
        stem.with_name(stem.name + suffix).write_bytes(f"bytes of {suffix}".encode())
    return context


def test_a_message_is_sent_with_its_files(server: WebServer, tmp_path: Path) -> None:
    context = clips(tmp_path)
    one = notify(
        f"json://127.0.0.1:{server.port}/json",
        f"form://127.0.0.1:{server.port}/form",
        title="{species}!",
        text="{percent} % <at> {time}",
        attach=["clip", "picture"],
    )
    one.run(sample_detection(), context)
    as_json, as_form = server.requests
    told = json.loads(as_json.body)
    assert (told["title"], told["message"]) == ("Great Tit!", "93 % <at> 04:42:10")
    assert [base64.b64decode(one["base64"]) for one in told["attachments"]] == [
        b"bytes of .flac",
        b"bytes of _1.jpg",
        b"bytes of _2.jpg",
    ]
    assert as_form.headers["content-type"].startswith("multipart/form-data")
    assert b'filename="garden-Parus_major-044210_2.jpg"' in as_form.body
    assert b"bytes of _2.jpg" in as_form.body
    assert context.notes == {"told": 2, "attached": 3}


def test_only_those_who_were_not_told_are_told_again(server: WebServer) -> None:
    server.plan((500, {}, "down"))
    one = notify(f"json://127.0.0.1:{server.port}/fine", f"json://u:hushhush@127.0.0.1:{server.port}/plan")
    context = FakeContext()
    with pytest.raises(Postpone) as later:
        one.run(sample_detection(), context)
    assert str(later.value).startswith("urls[1]: ")
    assert "500" in str(later.value)
    assert "hush" not in str(later.value)
    one.run(sample_detection(), context)
    assert [request.path for request in server.requests] == ["/fine", "/plan", "/plan"]
    one.run(sample_detection(), context)
    assert len(server.requests) == 5
