"""Who may ask for what, and what every answer is sent with."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from starlette.websockets import WebSocket, WebSocketDisconnect
from structlog.testing import capture_logs

from birdwatchd.web.app import create_app
from birdwatchd.web.password import Doorkeeper, hash_of
from tests.rows import Clock
from tests.web.made_up import URL, MadeUp, asked, client_of, made_up

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.testclient import TestClient

PASSWORD, TOKEN = "tawny owl", "birdwatchd-0123456789"
HASH = hash_of(PASSWORD)
TOKENS = {"home": sha256(TOKEN.encode()).hexdigest()}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def ajar(tmp_path: Path) -> MadeUp:
    """As it is by default: at this machine alone, without a password."""
    return made_up(tmp_path)


@pytest.fixture
def closed(tmp_path: Path) -> MadeUp:
    return made_up(tmp_path, web={"address": "192.168.1.5", "password": HASH, "tokens": TOKENS})


def csrf(client: TestClient, path: str = "/login") -> str:
    text: str = client.get(path).text
    return text.partition('name="csrf-token" content="')[2].partition('"')[0]


def log_in(client: TestClient, **form: str) -> Any:
    return client.post("/login", data={"csrf": csrf(client), "password": PASSWORD, **form})


def test_without_a_password_this_machine_sees_everything(ajar: MadeUp) -> None:
    client = ajar.ask()
    assert client.get("/sources").status_code == 200
    assert client.get("/api/v1/health").json()["node"] == "wood"
    assert client.get("/login").headers["location"] == "/"


@pytest.mark.parametrize(
    "name", ["birds.example.org:8080", "127.0.0.1.example.org", "192.168.1.5", "", "[::1"]
)
def test_without_a_password_no_other_name_is_answered_to(ajar: MadeUp, name: str) -> None:
    """A site whose name was pointed at 127.0.0.1 could read everything else."""
    for path in ("/sources", "/api/v1/health"):
        refused = ajar.ask().get(path, headers={"Host": name})
        assert refused.status_code == 421
        assert "garden" not in refused.text


@pytest.mark.parametrize("name", ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"])
def test_this_machine_has_several_names(ajar: MadeUp, name: str) -> None:
    assert ajar.ask().get("/sources", headers={"Host": name}).status_code == 200


def test_with_a_password_everything_but_the_login_is_closed(closed: MadeUp) -> None:
    client = closed.ask()
    paths = {*create_app(closed.house()).state.paths, "/api/v1/openapi.json"} - {"/login", "/logout"}
    assert {"/sources", "/api/v1/health", "/api/v1/openapi.json"} <= paths
    for path in sorted(paths):
        answer = client.get(path.replace("{", "").replace("}", ""))
        expected = 401 if path.startswith("/api/") else 303
        assert answer.status_code == expected, path
        assert "garden" not in answer.text
    assert client.get("/sources?a=b&c").headers["location"] == "/login?next=/sources%3Fa%3Db%26c"
    assert client.get("/login").status_code == client.get("/static/style.css").status_code == 200
    assert "Sources" not in client.get("/login").text


def test_the_password_opens_it_and_logging_out_closes_it(closed: MadeUp) -> None:
    client = closed.ask()
    entered = log_in(client, name="  Mary\tAnn ", next="/sources?a=b")
    assert (entered.status_code, entered.headers["location"]) == (303, "/sources?a=b")
    assert client.get("/sources").status_code == client.get("/api/v1/health").status_code == 200
    assert client.post("/logout", data={"csrf": csrf(client, "/sources")}).status_code == 303
    assert client.get("/sources").status_code == 303


def test_a_session_outlives_the_daemon_and_not_the_password(closed: MadeUp) -> None:
    client = closed.ask()
    log_in(client)
    later = closed.ask()
    later.cookies.update(dict(client.cookies))
    assert later.get("/sources").status_code == 200
    web = closed.config.web
    assert web is not None
    other = closed.config.model_validate(
        {**closed.config.model_dump(), "web": {"port": 8080, "password": hash_of("another one")}}
    )
    closed.config = other
    assert later.get("/sources").status_code == 303


def test_the_cookie_is_for_this_site_and_no_script(closed: MadeUp) -> None:
    given = log_in(closed.ask()).headers["set-cookie"]
    assert given.startswith("birdwatchd-8080=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(given.split("; "))
    assert "Secure" not in given
    safe = log_in(closed.ask(url="https://birds.example.org")).headers["set-cookie"]
    assert "Secure" in safe.split("; ")


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "/\tx", "x"])
def test_a_login_leads_to_no_other_site(closed: MadeUp, wanted: str) -> None:
    assert log_in(closed.ask(), next=wanted).headers["location"] == "/"


def test_a_wrong_password_is_told_and_ever_slower(closed: MadeUp) -> None:
    app, clock = create_app(closed.house()), Clock()
    app.state.doorkeeper = Doorkeeper(monotonic=clock)
    client = client_of(app)
    token = csrf(client)
    answers = [client.post("/login", data={"csrf": token, "password": "x"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert "not the password" in answers[0].text
    assert "set-cookie" not in answers[0].headers
    assert answers[5].headers["retry-after"] == "1"
    # Not even the right one is looked at now.
    assert client.post("/login", data={"csrf": token, "password": PASSWORD}).status_code == 429
    clock.seconds += 1.5
    assert client.post("/login", data={"csrf": token, "password": "x"}).status_code == 401
    assert client.post("/login", data={"csrf": token, "password": "x"}).headers["retry-after"] == "2"
    clock.seconds += 2.5
    assert client.post("/login", data={"csrf": token, "password": PASSWORD}).status_code == 303


def test_a_token_opens_the_api_alone(closed: MadeUp) -> None:
    client = closed.ask()
    assert client.get("/api/v1/health", headers=BEARER).status_code == 200
    assert client.get("/sources", headers=BEARER).status_code == 303
    for wrong in ("Bearer x", f"Bearer {TOKENS['home']}", "Basic eDp5", f"Token {TOKEN}"):
        refused = client.get("/api/v1/health", headers={"Authorization": wrong})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")


def test_with_tokens_alone_there_is_no_page(tmp_path: Path) -> None:
    client = made_up(tmp_path, web={"address": "192.168.1.5", "tokens": TOKENS}).ask()
    assert client.get("/sources").status_code == client.get("/login").status_code == 403
    assert client.get("/api/v1/health").status_code == 401
    assert client.get("/api/v1/health", headers=BEARER).status_code == 200


@pytest.mark.parametrize("is_closed", [False, True])
def test_nothing_is_changed_from_another_site(ajar: MadeUp, tmp_path: Path, *, is_closed: bool) -> None:
    house = ajar
    if is_closed:
        (tmp_path / "b").mkdir()
        house = made_up(tmp_path / "b", web={"password": HASH})
    client = house.ask()
    if is_closed:
        log_in(client)
    token = csrf(client, "/sources")
    for body in ({}, {"csrf": ""}, {"csrf": token[:-1] + "x"}, {"csrf": "ü"}):
        assert client.post("/logout", data=body).status_code == 403
    assert client.post("/logout", json={"csrf": token}).status_code == 403
    assert client.post("/logout", files={"csrf": (None, token)}).status_code == 403
    assert client.post("/logout", headers={"X-CSRF-Token": token}).status_code == 303
    if not is_closed:
        assert client.post("/logout", data={"csrf": token}).status_code == 303


def test_the_sign_of_one_session_is_not_anothers(closed: MadeUp) -> None:
    app = create_app(closed.house())
    one, other = client_of(app), client_of(app)
    log_in(one)
    assert log_in(other).status_code == 303
    assert csrf(one, "/sources") != csrf(other, "/sources")
    assert one.post("/logout", data={"csrf": csrf(other, "/sources")}).status_code == 403


def test_what_is_brought_along_has_a_limit(ajar: MadeUp) -> None:
    client = ajar.ask()
    headers = {"X-CSRF-Token": csrf(client, "/sources")}
    assert client.post("/logout", content=b"x" * 70_000, headers=headers).status_code == 413


def test_one_that_hangs_up_while_it_sends_is_no_fault(ajar: MadeUp) -> None:
    app = create_app(ajar.house())
    answers: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        answers.append(message)

    with capture_logs() as log:
        asyncio.run(app(asked("POST", "/logout"), receive, send))
    assert (answers, [line["log_level"] for line in log]) == ([], ["debug"])


@pytest.mark.parametrize("path", ["/sources", "/api/v1/health", "/nothing", "/static/style.css", "/broken"])
def test_every_answer_is_sent_with_what_keeps_it_safe(ajar: MadeUp, path: str) -> None:
    app = create_app(ajar.house())

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("oh")

    client = client_of(app)
    answer = client.get(path)
    assert answer.status_code == {"/nothing": 404, "/broken": 500}.get(path, 200)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "oh" not in answer.text.split()


@pytest.mark.parametrize(
    ("origin", "forwarded", "is_let_in"),
    [
        (URL, "", True),
        (None, "", True),
        ("http://evil.example", "", False),
        ("null", "", False),
        ("https://birds.example.org", "birds.example.org", True),
    ],
)
def test_another_site_hears_nothing_over_a_websocket(
    ajar: MadeUp, origin: str | None, forwarded: str, *, is_let_in: bool
) -> None:
    app = create_app(ajar.house())

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    client = client_of(app)
    headers = {"Host": "127.0.0.1:8080", "X-Forwarded-Host": forwarded}
    if origin is not None:
        headers["Origin"] = origin
    if is_let_in:
        with client.websocket_connect("/echo", headers=headers) as socket:
            assert socket.receive_text() == "hello"
    else:
        with (
            pytest.raises(WebSocketDisconnect),
            client.websocket_connect("/echo", headers=headers) as socket,
        ):
            socket.receive_text()


@pytest.mark.parametrize("has_taken_it_away", [False, True])
def test_below_a_prefix_all_links_have_it(tmp_path: Path, *, has_taken_it_away: bool) -> None:
    client = made_up(tmp_path, web={"prefix": "/birds/wood"}).ask()
    shown = client.get("/sources" if has_taken_it_away else "/birds/wood/sources").text
    links = [rest.partition('"')[0] for rest in shown.replace("src=", "href=").split('href="')[1:]]
    assert len(links) > 3
    assert all(link.startswith("/birds/wood/") or link == "#main" for link in links), links
    for link in links:
        if "/static/" in link:
            assert client.get(link).status_code == 200
    assert client.get("/birds/woodpecker").status_code == 404
