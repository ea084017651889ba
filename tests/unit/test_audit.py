"""scripts/audit.py beside an index that knows something, one that does not, and none at all."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

AUDIT = Path(__file__).parents[2] / "scripts" / "audit.py"
PYPI = {"pyyaml/5.3": {"vulnerabilities": [{"id": "CVE-2020-1747"}]}}
"""What tells an index that knows from one that does not."""
WEAK = {"id": "PYSEC-1", "fixed_in": ["2.0"], "summary": "Anybody\ncan", "withdrawn": None}


@contextmanager
def index(answers: dict[str, Any], *, hangs: bool = False) -> Iterator[str]:
    """A web server that answers `/pypi/KEY/json`."""
    over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if hangs:
                over.wait()
            answer = answers.get(self.path.removeprefix("/pypi/").removesuffix("/json"))
            self.send_response(404 if answer is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            over.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def pinned(tmp_path: Path) -> Path:
    path = tmp_path / "constraints.txt"
    path.write_text("# pinned\nweak==1.0\nsound==1.0 ; python_version > '3'\nelsewhere==3\n\nfree>=1\n")
    return path


def audit(index: str, pinned: Path, *options: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, AUDIT, "--index", index, *options, pinned],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_pin_with_a_known_vulnerability_fails(pinned: Path) -> None:
    answers = {
        **PYPI,
        "weak/1.0": {"vulnerabilities": [WEAK]},
        "sound/1.0": {"vulnerabilities": []},
    }
    with index(answers) as address:
        status, said = audit(address, pinned)
    assert status == 1
    assert said == (
        "weak==1.0: PYSEC-1 (mended in 2.0) Anybody can\nknown vulnerabilities: 1 in 3 pinned packages\n"
    )


def test_what_was_withdrawn_is_none(pinned: Path) -> None:
    taken_back = {**WEAK, "withdrawn": "2026-01-01T00:00:00Z"}
    with index({**PYPI, "weak/1.0": {"vulnerabilities": [taken_back]}}) as address:
        assert audit(address, pinned) == (0, "known vulnerabilities: 0 in 3 pinned packages\n")


@pytest.mark.parametrize(
    "answers",
    [{}, {"pyyaml/5.3": {"files": []}}, {"pyyaml/5.3": []}, {"pyyaml/5.3": {"vulnerabilities": []}}],
)
def test_a_mirror_that_knows_only_files_is_told_as_one(pinned: Path, answers: dict[str, Any]) -> None:
    with index(answers) as address:
        status, said = audit(address, pinned)
    assert status == 0
    assert said == f"known vulnerabilities: skipped, {address} does not tell of vulnerabilities\n"


def test_without_a_network_it_is_skipped(pinned: Path) -> None:
    status, said = audit(f"http://127.0.0.1:{free_port()}", pinned)
    assert (status, said.count("\n")) == (0, 1)
    assert "skipped" in said
    assert "ConnectError" in said


def test_an_index_that_hangs_is_not_waited_for(pinned: Path) -> None:
    with index({}, hangs=True) as address:
        status, said = audit(address, pinned, "--seconds", "1")
    assert status == 0
    assert "skipped" in said
