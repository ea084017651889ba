"""Ctrl-C in a command: at any moment it ends it, by the signal itself, and without a word of Python's."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRESSED = "os.kill(os.getpid(), signal.SIGINT)"
AS_A_TERMINAL = "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""Whatever the tests were started by may have it ignored."""
BY_SIGNAL = (-signal.SIGINT, "", "")


def run(*lines: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join((AS_A_TERMINAL, *lines))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("package", ["birdwatchd", "train"])
@pytest.mark.parametrize(
    "start",
    [
        "from {package}.__main__ import main; main()",
        "import runpy; runpy.run_module('{package}', run_name='__main__', alter_sys=True)",
    ],
    ids=["script", "module"],
)
@pytest.mark.parametrize("met", ["click", "birdwatchd.cli.commands", "birdwatchd.config.plain"])
def test_while_it_is_imported(package: str, start: str, met: str) -> None:
    assert (
        run(
            "class Press:",
            "    def find_spec(self, name, *_):",
            f"        if name == {met!r}: {PRESSED}",
            "sys.meta_path.insert(0, Press())",
            f"sys.argv = [{package!r}, '--version']",
            start.format(package=package),
        )
        == BY_SIGNAL
    )


COMMAND = """
import atexit, click
from birdwatchd.__main__ import main
from birdwatchd.cli.commands import birdwatchd
atexit.register(print, "Python is taken down")
@click.command()
def command():
    try:
        {body}
    finally:
        print("in order")
birdwatchd.get_command = lambda *_: command
sys.argv = ["birdwatchd", "command"]
main()
"""


def test_while_it_works() -> None:
    assert run(COMMAND.format(body=PRESSED)) == (-signal.SIGINT, "in order\n", "\n")


@pytest.mark.parametrize("status", [0, 1])
def test_what_was_not_interrupted_ends_as_ever(status: int) -> None:
    ended = run(COMMAND.format(body=f"sys.exit({status})"))
    assert ended == (status, "in order\nPython is taken down\n", "")


def test_a_compiled_module_is_made_first() -> None:
    assert run(
        "import _imp, time",
        "from birdwatchd import interrupts",
        "interrupts.end_at_once(); interrupts.raise_it()",
        "make = _imp.create_dynamic",
        "def make_pressed(*module):",
        f"    {PRESSED}",
        "    print('made')",
        "    return make(*module)",
        "_imp.create_dynamic = make_pressed",
        "try:",
        "    import _cffi_backend",
        "    time.sleep(60)",
        "except KeyboardInterrupt: print('raised')",
    ) == (0, "made\nraised\n", "")


def test_where_it_cannot_be_raised() -> None:
    assert (
        run(
            "from birdwatchd import interrupts",
            "interrupts.end_at_once(); interrupts.raise_it()",
            "class Callback:",
            f"    def __del__(self): {PRESSED}",
            "Callback()",
            "print('went on')",
        )
        == BY_SIGNAL
    )


def test_when_all_is_done() -> None:
    status, _, errors = run(f"import atexit; atexit.register(lambda: {PRESSED})", COMMAND.format(body="pass"))
    assert (status, errors) == (-signal.SIGINT, "")


def test_what_is_ignored_stays_ignored() -> None:
    assert run(
        "signal.signal(signal.SIGINT, signal.SIG_IGN)",
        "from birdwatchd import interrupts",
        "interrupts.end_at_once(); interrupts.raise_it()",
        PRESSED,
        "print('went on')",
    ) == (0, "went on\n", "")
