"""Scoring with a bar on standard error, and what could not be read below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from birdwatchd.cli.screen import say
from train.scoring import score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from train.listener import Listener
    from train.manifest import Row
    from train.scoring import Scores


def heard(listener: Listener, rows: Sequence[Row], hop_seconds: float | None = None) -> Scores:
    """What `listener` says of `rows`; `train.scoring.score` tells the rest."""
    screen = Console(stderr=True)
    bar = Progress(
        TextColumn("listening"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=len(rows))
        scores = score(
            listener, rows, hop_seconds=hop_seconds, progress=lambda done: bar.update(task, completed=done)
        )
    for fault in scores.faults:
        say(f"left out: {fault}")
    if scores.unknown:
        names = ", ".join(sorted(scores.unknown))
        say(f"no labels of the model, taken as absent: {names}")
    return scores
