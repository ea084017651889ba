"""The command line as a whole: what it lists, what it loads, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from birdwatchd import __version__
from birdwatchd.cli import commands
from birdwatchd.cli.commands import COMMANDS, birdwatchd
from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    End = Callable[[BaseException | None], tuple[object, str]]

ROOT = Path(__file__).parents[2]


def run(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "birdwatchd", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_lists_every_command_with_what_it_is_for() -> None:
    done = run("--help")
    assert done.returncode == 0
    listed = dict(
        line.split(maxsplit=1)
        for line in done.stdout.splitlines()
        if line.split(maxsplit=1)[:1] and line.split()[0] in COMMANDS
    )
    assert set(listed) == set(COMMANDS)
    assert all(listed.values())


def subcommands(command: click.Command, name: str = "") -> list[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return [(name, command)]
    context = click.Context(command)
    found = []
    for inner in command.list_commands(context):
        below = command.get_command(context, inner)
        assert below is not None
        found += subcommands(below, f"{name} {inner}".strip())
    return found


@pytest.mark.parametrize("name", [name for name, _ in subcommands(birdwatchd)])
def test_every_command_shows_examples(name: str) -> None:
    shown = CliRunner().invoke(birdwatchd, [*name.split(), "--help"])
    assert shown.exit_code == 0
    assert "Examples:" in shown.output
    assert f"birdwatchd {name}" in shown.output.split("Examples:")[1]


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["check", "-c", str(ROOT / "config.yaml")], ["check", "--schema"]],
)
def test_what_is_quick_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
from birdwatchd.__main__ import main
sys.argv = ["birdwatchd", *{arguments!r}]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
heavy = {{"torch", "numpy", "rich", "sounddevice", "soundfile", "soxr", "sqlite3", "structlog"}}
heavy |= {{"pydantic", "yaml"}} if sys.argv[1] != "check" else set()
# The schema tells of every plugin, and so imports them.
heavy &= {{"torch", "sounddevice", "soxr", "sqlite3"}} if "--schema" in sys.argv else heavy
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    loaded = done.stderr.splitlines()[-1]
    assert loaded == "[]"


def test_version() -> None:
    assert run("--version").stdout == f"birdwatchd, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chek"], "No such command 'chek'"),
        (["check", "--nope"], "No such option"),
        (["--nope"], "No such option"),
    ],
)
def test_what_does_not_exist_is_said_and_ends_with_2(arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert (done.stdout, done.returncode) == ("", 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


class TestEnd:
    @pytest.fixture
    def end(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> End:
        """The exit status and standard error of a command that raises this."""

        def end(raised: BaseException | None) -> tuple[object, str]:
            @click.command()
            def command() -> None:
                if raised is not None:
                    raise raised

            monkeypatch.setattr(birdwatchd, "get_command", lambda *_: command)
            monkeypatch.setattr(sys, "argv", ["birdwatchd", "anything"])
            monkeypatch.setattr(
                sys, "unraisablehook", sys.unraisablehook
            )  # it is put back, as is SIGINT below
            before = signal.getsignal(signal.SIGINT)
            try:
                with pytest.raises(SystemExit) as ended:
                    commands.run(birdwatchd)
            finally:
                signal.signal(signal.SIGINT, before)
            return ended.value.code, capfd.readouterr().err

        return end

    def test_well(self, end: End) -> None:
        assert end(None) == (0, "")

    def test_a_users_mistake(self, end: End) -> None:
        assert end(UserError("it is off; switch it on")) == (2, "birdwatchd: it is off; switch it on\n")

    def test_an_exit_with_a_status(self, end: End) -> None:
        assert end(click.exceptions.Exit(3)) == (3, "")
        assert end(SystemExit(1)) == (1, "")

    def test_interrupted(self, end: End) -> None:
        assert end(KeyboardInterrupt())[0] == 130

    def test_a_fault_of_our_own_is_not_swallowed(self, end: End) -> None:
        with pytest.raises(ZeroDivisionError):
            end(ZeroDivisionError())


def test_a_reader_that_has_seen_enough_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run("check", "--schema", stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
