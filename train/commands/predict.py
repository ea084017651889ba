"""`birdwatchd-train predict`: what a model hears in recordings."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from birdwatchd.cli.screen import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from train.predict import Prediction

COLUMNS = (
    "file",
    "start_seconds",
    "end_seconds",
    "rank",
    "scientific_name",
    "common_name",
    "score",
    "claimed",
)


@click.command(short_help="Tell what a model hears in recordings.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-k", "--top", type=click.IntRange(1), default=3, show_default=True, help="So many labels each."
)
@click.option("--over-time", is_flag=True, help="Each segment by itself, in the order of time.")
@click.option(
    "--hop", type=click.FloatRange(0.1, 60), help="Seconds from segment to segment; half a segment."
)
@click.option("--csv", "as_csv", is_flag=True, help="CSV even on a terminal.")
def predict(
    model: Path, paths: tuple[Path, ...], *, top: int, over_time: bool, hop: float | None, as_csv: bool
) -> None:
    """Tell the best labels of recordings, files or folders, with their scores.

    MODEL is a checkpoint or a bundle, by its path or, in the models folder, by its name. A score that reaches its label's threshold is a claim. A file's score is the
    highest of its segments'. A table on a terminal, else CSV. A file that cannot be read is reported, and the rest go
    on: the exit status is 1 then. A damaged one is heard as far as it goes, and that is said.

    \b
    Examples:
      birdwatchd-train predict training/best.pt dawn.wav
      birdwatchd-train predict garden recordings/ --top 1 > heard.csv
      birdwatchd-train predict garden dawn.wav --over-time
    """
    from birdwatchd.errors import RecordingError
    from train.commands.hearing import listening
    from train.listener import listen
    from train.predict import predict as predictions
    from train.predict import recordings

    files = recordings(paths)
    listener = listen(model)
    failed = 0

    def found(told: Callable[[int, float], None]) -> Iterable[Prediction]:
        nonlocal failed
        for number, file in enumerate(files):
            told(number, 0.0)
            try:
                yield from predictions(
                    listener,
                    file,
                    top=top,
                    hop_seconds=hop,
                    over_time=over_time,
                    complain=lambda fault: say(f"heard as far as it goes: {fault}"),
                )
            except RecordingError as error:
                failed += 1
                say(f"birdwatchd-train: {error}")

    on_screen = sys.stdout.isatty()
    if on_screen and not as_csv:
        with listening(len(files)) as told:
            heard = list(found(told))
        _show(heard)
    else:
        # On a screen the lines themselves tell how far it is.
        with listening(len(files), silent=on_screen) as told:
            _write(found(told))
    if failed:
        sys.exit(1)


def _write(found: Iterable[Prediction]) -> None:
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    for one in found:
        names = [one.label.scientific_name, one.label.common_name]
        place = [one.path, f"{one.start:.3f}", f"{one.end:.3f}", one.rank]
        table.writerow([*place, *names, f"{one.score:.4f}", str(one.claimed).lower()])


def _show(found: Iterable[Prediction]) -> None:
    from rich.table import Table

    from birdwatchd.cli.terminal import Terminal

    table = Table("", "seconds", "label", "score", box=None, pad_edge=False)
    last = None
    for one in found:
        style = "bold" if one.claimed else "dim"
        new = (one.path, one.start) != last
        last = (one.path, one.start)
        where = (str(one.path), f"{one.start:.1f}-{one.end:.1f}") if new else ("", "")
        table.add_row(*where, one.label.common_name, f"{one.score:.3f}", style=style)
    Terminal(markup=False, highlight=False).print(table)
