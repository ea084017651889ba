"""The terminal that tables are drawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from birdwatchd.config.plain import plain

if TYPE_CHECKING:
    from rich.console import Console

_PAPER_COLUMNS = 160
"""In a file or pipe there is no edge: a table gets what it needs, up to this."""


def open_screen() -> Console:
    """Standard output, in colour if it is a terminal."""
    from birdwatchd.cli.terminal import Terminal

    screen = Terminal(highlight=False, markup=False, emoji=False)
    if not screen.is_terminal:
        screen.width = _PAPER_COLUMNS
    return screen


def say(text: str) -> None:
    """Write for people, on standard error: names of files come from elsewhere, and must not act on their terminal."""
    click.echo(plain(text), err=True)
