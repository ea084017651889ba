"""Listening and scoring with a bar on standard error, and what could not be read below it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from birdwatchd.cli.screen import say
from train.scoring import score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from train.listener import Listener
    from train.manifest import Row
    from train.scoring import Scores


@contextmanager
def listening(files: int, *, silent: bool = False) -> Iterator[Callable[[int, float], None]]:
    """A bar, where standard error is a terminal, that is told how many files are done and how many seconds were heard."""
    screen = Console(stderr=True)
    bar = Progress(
        TextColumn("listening"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[sound]}"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        # What is found goes to standard output, which may be a file while this is on a terminal.
        redirect_stdout=False,
        disable=silent or not screen.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=files, sound="")

        def told(done: int, seconds: float) -> None:
            sound = f"{seconds / 60:.1f} min of sound" if seconds else ""
            bar.update(task, completed=done, sound=sound)

        yield told


def heard(listener: Listener, rows: Sequence[Row], hop_seconds: float | None = None) -> Scores:
    """What `listener` says of `rows`; `train.scoring.score` tells the rest."""
    with listening(len(rows)) as told:
        scores = score(listener, rows, hop_seconds=hop_seconds, progress=lambda done: told(done, 0.0))
    for fault in scores.faults:
        say(f"left out: {fault}")
    if scores.unknown:
        names = ", ".join(sorted(scores.unknown))
        say(f"no labels of the model, taken as absent: {names}")
    return scores
