"""A detection starts a real program."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from birdwatchd.actions import GiveUp, child
from birdwatchd.actions.child import Overdue
from birdwatchd.actions.command import Command, CommandFailed
from birdwatchd.domain import Label
from tests.doubles import FakeContext, sample_detection
from tests.integration.waiting import wait_until
from tests.processes import lives

SHOW = (
    "import json,os,sys; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd(), sys.stdin.read()]))"
)


def command(*argv: str, **settings: Any) -> Command:
    given = {"name": "one", "kind": "command", "argv": argv, **settings}
    return Command(Command.Config.model_validate(given))


def script(folder: Path, text: str, mode: int = 0o755) -> str:
    path = folder / "program"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def shown(context: FakeContext) -> Any:
    return json.loads(str(context.notes["output"]))


def test_a_program_is_told_of_the_detection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_OF_THE_DAEMON", "x")
    context = FakeContext(zone=ZoneInfo("Europe/Berlin"), clips_folder=Path("/clips"))
    one = command(
        sys.executable,
        *("-c", SHOW, "{species}", "{scientific} {score}", "$(id); `id` | *", "{{}}"),
        output_bytes=100_000,
        working_folder=str(tmp_path),
        environment={"LAMP": "7"},
    )
    one.run(sample_detection(), context)
    arguments, environment, folder, given = shown(context)
    assert arguments == ["Great Tit", "Parus major 0.93", "$(id); `id` | *", "{}"]
    assert "SECRET_OF_THE_DAEMON" not in environment
    assert environment["BIRDWATCHD_SPECIES"] == "Great Tit"
    assert environment["BIRDWATCHD_CLIP"] == "/clips/2026/05/09/garden-Parus_major-044210"
    assert (environment["TZ"], environment["LAMP"]) == ("Europe/Berlin", "7")
    assert {"PATH", "HOME", "LANG"} <= set(environment)
    assert folder == str(tmp_path)
    assert json.loads(given)["detection"]["common_name"] == "Great Tit"
    assert context.notes["status"] == 0


def test_a_name_cannot_become_an_option() -> None:
    context = FakeContext()
    one = command(sys.executable, "-c", SHOW, "{species}", "{site}", output_bytes=100_000)
    one.run(sample_detection(label=Label(0, "x", "--delete all"), site="-"), context)
    assert shown(context)[0] == ["delete all", ""]


def test_the_exit_status_decides() -> None:
    context = FakeContext()
    with pytest.raises(CommandFailed, match=r"ended with status 3: no lamp$"):
        command("sh", "-c", "echo begun; echo no lamp >&2; echo; exit 3").run(sample_detection(), context)
    assert context.notes == {"status": 3, "output": "begun\nno lamp"}
    with pytest.raises(GiveUp, match="ended with status 4"):
        command("sh", "-c", "exit 4", give_up_statuses=[4]).run(sample_detection(), context)
    with pytest.raises(CommandFailed, match="was ended by SIGSEGV"):
        command("sh", "-c", "kill -SEGV $$").run(sample_detection(), context)


def test_output_is_cut_from_the_front() -> None:
    context = FakeContext()
    command("sh", "-c", "seq 200000; printf 'caf\\303\\251'", output_bytes=20).run(
        sample_detection(), context
    )
    assert context.notes["output"] == "…199999\n200000\ncafé"
    command("sh", "-c", "echo much", output_bytes=0).run(sample_detection(), context)
    assert context.notes["output"] == "…"


def test_it_may_ignore_what_it_is_given() -> None:
    for argv in (["true"], ["sh", "-c", "exec <&-"]):
        command(*argv).run(sample_detection(), FakeContext())


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        (None, 0, "there is no program .*; install it, or give its path"),
        ("#!/bin/sh\n", 0o644, "may not be executed; `chmod \\+x`"),
        ("#!/no/such/thing\n", 0o755, "its first line names an interpreter that is not there"),
        ("echo\n", 0o755, "is no program; a script needs a first line"),
    ],
)
def test_what_cannot_be_started_is_given_up(tmp_path: Path, text: str | None, mode: int, told: str) -> None:
    path = str(tmp_path / "program") if text is None else script(tmp_path, text, mode)
    with pytest.raises(GiveUp, match=told):
        command(path).run(sample_detection(), FakeContext())


def test_a_missing_working_folder_is_not_blamed_on_the_program(tmp_path: Path) -> None:
    with pytest.raises(GiveUp, match=r"the working folder .* is not there"):
        command("true", working_folder=str(tmp_path / "none")).run(sample_detection(), FakeContext())


def test_a_missing_program_is_told_beforehand(tmp_path: Path) -> None:
    assert list(command("true").config.warnings()) == []
    (told,) = command(str(tmp_path / "none")).config.warnings()
    assert told.startswith("one: there is no program")


def test_a_relative_program_counts_from_the_folder_of_the_config(tmp_path: Path) -> None:
    given = {"name": "one", "kind": "command", "argv": ["./lamp.sh", "on"]}
    config = Command.Config.model_validate(given, context={"folder": tmp_path})
    assert config.argv == (str(tmp_path / "lamp.sh"), "on")


@pytest.mark.parametrize(
    "argv", [[], ["{species}"], ["echo", "{bird}"], ["echo", "{"], ["echo", "a\0b"], "echo {species}"]
)
def test_a_wrong_argv_is_refused(argv: Any) -> None:
    with pytest.raises(ValidationError):
        Command.Config.model_validate({"name": "one", "kind": "command", "argv": argv})


def test_what_it_leaves_behind_ends_with_it() -> None:
    context = FakeContext()
    command("sh", "-c", "sleep 1000 & echo $!").run(sample_detection(), context)
    pid = int(str(context.notes["output"]))
    wait_until(lambda: not lives(pid), "it has ended")


def test_one_that_is_told_to_end_may_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, ready = FakeContext(), tmp_path / "ready"
    # Nine tenths of its time are over as soon as it can be told.
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 91 * ready.exists())
    monkeypatch.setattr(child, "time", clock)
    script = f"trap 'echo let go; exit 0' TERM; echo armed; touch {ready}; echo ready; sleep 1000 & wait"
    with pytest.raises(Overdue, match="sh took longer than"):
        command("sh", "-c", script, timeout_seconds=100).run(sample_detection(), context)
    told = str(context.notes["output"])
    assert (told[:5], told[-6:]) == ("armed", "let go")


def test_one_that_ended_while_we_were_stopped_ourselves_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = itertools.count()

    def late() -> float:
        if next(looks) == 0:
            return 0.0
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # it is over, and was not looked at yet
        return 1000.0

    context = FakeContext()
    monkeypatch.setattr(child, "time", SimpleNamespace(monotonic=late))
    command("sh", "-c", "echo done").run(sample_detection(), context)
    assert context.notes == {"status": 0, "output": "done"}


@pytest.mark.parametrize(
    "argv",
    [
        ["sh", "-c", "echo {species}"],
        ["/bin/bash", "-ec", "echo {species}"],
        ["env", "A=b", "bash", "-l", "-c", "notify-send '{scientific}'"],
        ["python3", "-c", "print('{species}')"],
        ["perl", "-e", "print '{species}'"],
    ],
)
def test_a_placeholder_in_a_script_is_refused_as_a_name_could_be_one(argv: list[str]) -> None:
    with pytest.raises(ValidationError, match="placeholder in a script"):
        Command.Config(name="one", kind="command", argv=tuple(argv))


@pytest.mark.parametrize(
    "argv",
    [
        ["sh", "-c", 'echo "$BIRDWATCHD_SPECIES" ${{HOME}}'],
        ["sh", "-c", 'echo "$0"', "{species}"],
        ["python3", "script.py", "-c", "{species}"],
        ["notify-send", "-c", "{species}"],
    ],
)
def test_beside_a_script_it_is_welcome(argv: list[str]) -> None:
    assert Command.Config(name="one", kind="command", argv=tuple(argv)).argv == tuple(argv)
