"""Draw docs/images/demo.svg: what a terminal shows at the end of a real run of scripts/demo.

    .venv/bin/python scripts/picture.py

takes a little more than a minute. The checkout's folder is shown as ~/birdwatchd.
"""

from __future__ import annotations

import io
import os
import pty
import re
import struct
import subprocess
import sys
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
COLUMNS, ROWS = 104, 60
ERASE_LINE = "\r\x1b[2K"
LINE_UP = "\x1b[1A\x1b[2K"


def run_in_terminal(command: list[str]) -> str:
    """Everything that the command writes to a terminal of its own.

    Raises:
        SystemExit: the command failed.
    """
    terminal, inside = pty.openpty()
    ioctl(inside, TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    child = subprocess.Popen(
        command,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
    )
    os.close(inside)
    written = bytearray()
    with suppress(OSError):  # how Linux says that nobody writes any more
        while block := os.read(terminal, 65536):
            written += block
    os.close(terminal)
    if child.wait() != 0:
        sys.exit(f"{command[0]} ended with status {child.returncode}:\n{written.decode()}")
    return written.decode()


def last_screen(written: str) -> list[str]:
    """The lines that are left once everything is written, with their colours."""
    lines: list[str] = []
    for line in written.replace("\r\n", "\n").split("\n"):
        # rich's live display writes a line over and over; and goes back up one line to take it away.
        for _ in range(line.count(LINE_UP)):
            lines.pop()
        lines.append(re.split(f"{re.escape(ERASE_LINE)}|{re.escape(LINE_UP)}", line)[-1])
    return [line.replace("\x1b[?25l", "").replace("\x1b[?25h", "") for line in lines]


def draw(lines: list[str], path: Path) -> None:
    """Write the SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=False)
    drawing = console.export_svg(title="birdwatchd", theme=MONOKAI, unique_id="demo")
    # Nothing is fetched from elsewhere to show it: any fixed-width font will do.
    drawing = re.sub(r"@font-face \{.*?\}", "", drawing, flags=re.DOTALL)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    shown = run_in_terminal([str(ROOT / "scripts" / "demo"), *sys.argv[1:]]).replace(
        str(ROOT), "~/birdwatchd"
    )
    draw(["\x1b[1;32m$\x1b[0m scripts/demo", *last_screen(shown.rstrip())], ROOT / "docs/images/demo.svg")
