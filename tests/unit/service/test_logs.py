"""What comes out on standard error: as a person, a program and the journal want it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SAY = """
import logging, sys, threading
import structlog
from birdwatchd.config.schema import Log
from birdwatchd.config.secrets import Secrets
from birdwatchd.service.logs import hear_others, set_up
set_up(Log(level="debug", format=sys.argv[1]), Secrets())
hear_others()
log = structlog.get_logger()
log.debug("a", n=1)
log.info("detection", species="Kohlmeise \\u2640")
log.warning("c", text="two\\nlines")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("d")
logging.getLogger("apscheduler").warning("missed by %s", "a second")
thread = threading.Thread(target=lambda: [][1], name="worker")
thread.start()
thread.join()
"""


def said(form: str, *, journal: bool) -> list[str]:
    """The lines of standard error; a pipe stands for the journal's stream, told apart by its inode as systemd does."""
    reading, writing = os.pipe()
    stream = os.fstat(writing)
    environment = dict(os.environ)
    if journal:
        environment["JOURNAL_STREAM"] = f"{stream.st_dev}:{stream.st_ino}"
    with subprocess.Popen([sys.executable, "-c", SAY, form], stderr=writing, env=environment) as process:
        os.close(writing)
        with os.fdopen(reading) as pipe:
            lines = pipe.read().splitlines()
    assert process.returncode == 0, lines
    return lines


def test_programs_get_one_object_a_line() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in said("auto", journal=False)]
    assert [line["level"] for line in lines] == ["debug", "info", "warning", "error", "warning", "error"]
    assert list(lines[1]) == ["timestamp", "level", "event", "species"]
    assert lines[1]["species"] == "Kohlmeise ♀"
    assert "ZeroDivisionError" in lines[3]["exception"]
    assert (lines[4]["event"], lines[4]["by"]) == ("missed by a second", "apscheduler")
    assert (lines[5]["event"], lines[5]["thread"]) == ("a thread died", "worker")
    assert "IndexError" in lines[5]["exception"]


def test_the_journal_is_told_the_priority_of_each_line() -> None:
    lines = said("json", journal=True)
    assert [line[:4] for line in lines] == ["<7>{", "<6>{", "<4>{", "<3>{", "<4>{", "<3>{"]
    assert [json.loads(line[3:])["event"] for line in lines][:3] == ["a", "detection", "c"]


def test_of_text_with_several_lines_each_has_its_priority() -> None:
    lines = said("text", journal=True)
    assert {line[:3] for line in lines} == {"<7>", "<6>", "<4>", "<3>"}
    assert sum(line.startswith("<3>") for line in lines) > 4


@pytest.mark.parametrize("stream", ["", "1:2", "nonsense"])
def test_a_stream_that_is_not_the_journals_gets_plain_lines(
    stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", stream)
    assert all(line.startswith("{") for line in said("json", journal=False))


FILL = """
import resource, sys
import structlog
from birdwatchd.config.schema import Log
from birdwatchd.config.secrets import Secrets
from birdwatchd.service.logs import set_up
set_up(Log(format="json"), Secrets())
log = structlog.get_logger()
log.info("before")
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit[1]))  # no file takes any more, as on a full disk
log.info("gone")
log.error("gone too")
resource.setrlimit(resource.RLIMIT_FSIZE, limit)
log.info("after")
log.info("and on")
"""


def test_a_log_on_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        subprocess.run(
            [sys.executable, "-c", FILL],
            stderr=file,
            check=True,
            timeout=120,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    told = [(line["event"], line.get("lines_missing_before")) for line in lines]
    assert told == [("before", None), ("after", 2), ("and on", None)]
