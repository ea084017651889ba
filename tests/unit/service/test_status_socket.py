"""Who asks a daemon how it does gets its answer; who only wants to be a nuisance is none."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from birdwatchd.service import status_socket
from birdwatchd.service.status_socket import StatusSocket, Unanswered, ask, folders, name
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

ANSWER = {"node": "wood", "faults": []}
SAID = json.dumps(ANSWER).encode()


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(status_socket, "SYSTEM", tmp_path / "run" / "birdwatchd")
    return tmp_path / "birds.sqlite"


def listener(database: Path, folder: Path | None = None, said: bytes = SAID) -> StatusSocket:
    return StatusSocket(database, lambda: said, {"RUNTIME_DIRECTORY": str(folder)} if folder else {})


def test_the_answer_is_what_was_said(database: Path) -> None:
    with listener(database):
        assert ask(database, {}) == ANSWER
        assert ask(database, {}) == ANSWER
    assert ask(database, {}) is None
    assert not list(database.parent.glob("*.sock"))


def test_only_its_user_may_ask_beside_the_database_and_its_group_in_the_service_folder(
    database: Path, tmp_path: Path
) -> None:
    with listener(database):
        (path,) = tmp_path.glob("*.sock")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    folder = tmp_path / "run" / "birdwatchd"
    folder.mkdir(parents=True)
    with listener(database, folder):
        (path,) = folder.glob("*.sock")
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        # Who asks has no such variable.
        assert ask(database, {}) == ANSWER


def test_in_a_session_it_is_in_the_users_own_folder(database: Path, tmp_path: Path) -> None:
    session = {"XDG_RUNTIME_DIR": str(tmp_path / "user")}
    (tmp_path / "user").mkdir()
    with StatusSocket(database, lambda: SAID, session):
        assert [path.name for path in (tmp_path / "user" / "birdwatchd").iterdir()] == [name(database)]
        assert ask(database, session) == ANSWER


def test_two_stations_of_one_user_are_told_apart(database: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    session = {"XDG_RUNTIME_DIR": str(tmp_path)}
    with (
        StatusSocket(database, lambda: b'{"node": "wood"}', session),
        StatusSocket(other, lambda: b'{"node": "pond"}', session),
    ):
        assert (ask(database, session), ask(other, session)) == ({"node": "wood"}, {"node": "pond"})


def test_what_a_dead_daemon_left_is_in_nobodys_way(database: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(database.parent / name(database)))
    left.close()
    assert ask(database, {}) is None
    with listener(database):
        assert ask(database, {}) == ANSWER


def test_a_folder_that_cannot_be_written_is_passed_by(database: Path, tmp_path: Path) -> None:
    with listener(database, tmp_path / "nowhere"):
        assert ask(database, {}) == ANSWER


def test_without_any_folder_the_daemon_runs_on(tmp_path: Path) -> None:
    with listener(tmp_path / "nowhere" / "birds.sqlite"):
        assert ask(tmp_path / "nowhere" / "birds.sqlite", {}) is None


def test_a_long_path_is_no_matter(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 120)
    folder.mkdir()
    with listener(folder / "birds.sqlite"):
        assert ask(folder / "birds.sqlite", {}) == ANSWER


def connect(database: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(database.parent / name(database)))
    return client


def test_clients_that_say_things_do_not_read_or_hang_up_hurt_nobody(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_socket, "SEND_SECONDS", 0.2)
    long = json.dumps({"node": "x" * 4_000_000}).encode()  # more than a socket holds
    nuisances = 5 + 1 + 20
    answered: list[int] = []

    def say() -> bytes:
        answered.append(len(answered))
        if len(answered) == nuisances:
            # Whoever reads, and only stands still for a while, is to get all of it.
            monkeypatch.setattr(status_socket, "SEND_SECONDS", 60)
        return long

    with StatusSocket(database, say, {}):
        lazy = [connect(database) for _ in range(5)]
        rude = connect(database)
        rude.sendall(b"GET / HTTP/1.1\r\n\r\n")
        rude.close()
        for _ in range(20):
            connect(database).close()
        said = ask(database, {})
        assert said is not None
        assert len(said["node"]) == 4_000_000
        for client in lazy:
            client.close()


def test_a_status_that_fails_is_logged_and_the_next_one_is_told(database: Path) -> None:
    asked: list[int] = []

    def say() -> bytes:
        asked.append(len(asked))
        if len(asked) == 1:
            raise ValueError("broken")
        return SAID

    with StatusSocket(database, say, {}):
        with pytest.raises(Unanswered):
            ask(database, {})
        assert ask(database, {}) == ANSWER


def test_one_that_does_not_answer_is_said(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready, go_on = threading.Event(), threading.Event()

    def say() -> bytes:
        ready.set()
        go_on.wait(30)
        return SAID

    with StatusSocket(database, say, {}):
        with monkeypatch.context() as patch:
            patch.setattr(status_socket, "ASK_SECONDS", 0.3)
            with pytest.raises(Unanswered, match="has not answered for"):
                ask(database, {})
        assert ready.wait(30)
        go_on.set()
        wait_until(lambda: ask(database, {}) == ANSWER, "it answers again")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may ask everybody")
def test_one_that_may_not_be_asked_is_said(database: Path) -> None:
    with listener(database):
        (database.parent / name(database)).chmod(0)
        with pytest.raises(Unanswered, match="may not ask"):
            ask(database, {})


def test_who_asks_looks_everywhere(database: Path) -> None:
    places = [folder for folder, _ in folders(database, {}, asking=True)]
    assert places[0] == status_socket.SYSTEM
    assert places[-1] == database.parent
    assert [folder for folder, _ in folders(database, {})] == [database.parent]
