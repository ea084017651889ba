"""What a person sees of a training: bars with throughput and time left, and a line for each epoch."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from birdwatchd.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Display:
    """Writes to standard error; bars only where that is a terminal. A silent one says nothing."""

    def __init__(self, *, silent: bool = False) -> None:
        self._console = Terminal(stderr=True, quiet=silent, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """One line, as it is."""
        self._console.print(line, markup=False)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar that is advanced by calling what this gives with the number of clips done."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} clips"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        ) as progress:
            task = progress.add_task(what, total=total, rate="")

            def advance(clips: int) -> None:
                progress.update(task, advance=clips)
                speed = progress.tasks[task].speed
                if speed:
                    progress.update(task, rate=f"{speed:.0f} clips/s")

            yield advance
