"""`birdwatchd-train record`: sound from a microphone into a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import Progress

    from train.record import Take


@click.command(short_help="Record from a microphone.")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1, max=12 * 3600),
    default=10.0,
    show_default=True,
    help="How long.",
)
@click.option(
    "--device",
    help="Index, part of the name, or USB id, as `birdwatchd devices` shows. [default: the system's]",
)
@click.option(
    "--rate",
    type=click.IntRange(8000, 384_000),
    help="Sample rate in Hz. [default: 44100, or the next above that the input has]",
)
@click.option(
    "--channel", type=click.IntRange(1, 64), default=1, show_default=True, help="Which one to listen to."
)
@click.option("--label", help="What is to be heard: the class folder that it goes to.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("wav", "flac")),
    help="[default: what PATH's suffix says, else wav]",
)
def record(path: Path | None, **options: Any) -> None:
    """Record to PATH, mono, 16 bit; to recordings/LABEL/TIME.wav when it is left out, or PATH/LABEL/TIME.wav for a folder.

    A bar shows how far it is, and how loud. Ctrl-C ends it, and what was recorded is kept.

    \b
    Examples:
      birdwatchd-train record blackbird.wav --seconds 60
      birdwatchd-train record --label 'Turdus merula' --seconds 300 --format flac
      birdwatchd-train record --device usb:046d:0825 --rate 48000
    """
    from train.record import Wanted
    from train.record import record as run

    place = _place(path, options["label"], options["form"])
    device = options["device"]
    wanted = Wanted(
        options["seconds"],
        int(device) if device and device.isascii() and device.isdecimal() else device,
        options["rate"],
        options["channel"],
    )
    with _progress() as bar:
        task = bar.add_task("recording", total=options["seconds"], meter="")
        take = run(
            place,
            wanted,
            show=lambda take: bar.update(task, completed=take.seconds, meter=_meter(take)),
        )
    _tell(take, place)


def _place(path: Path | None, label: str | None, form: str | None) -> Path:
    """Where it goes.

    Raises:
        UserError: it is there already, or its suffix is that of another format.
    """
    from datetime import datetime

    from birdwatchd.errors import UserError
    from train.crop import folder_name
    from train.record import FORMATS

    if path is not None and path.suffix and not path.is_dir():
        suffix = path.suffix.casefold()
        if suffix not in FORMATS or (form and suffix != f".{form}"):
            raise UserError(
                f"{path}: what is recorded is .wav or .flac; call it so, or give a folder and --format"
            )
        if label:
            raise UserError("--label is for a folder: leave it out, or name a folder and not a file")
        place = path.with_suffix(suffix)
        if place.exists():
            raise UserError(f"{place} is there already: name another file")
        return place
    folder = path or Path("recordings")
    stamp = datetime.now().astimezone()
    name = f"{stamp:%Y%m%d_%H%M%S}.{form or 'wav'}"
    return folder / folder_name(label) / name if label else folder / name


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    screen = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.1f} of {task.total:g} s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[meter]}", markup=False),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )


def _meter(take: Take) -> str:
    from birdwatchd.cli.live import FLOOR_DBFS, meter

    level = max(FLOOR_DBFS, take.level_dbfs)
    return f"{meter(level)} {level:4.0f} dBFS{'  too loud' if take.is_clipped else ''}"


def _tell(take: Take, place: Path) -> None:
    peak = f"{20 * math.log10(take.peak):.1f} dBFS" if take.peak else "silence"
    ended = ", ended early" if take.interrupted else ""
    if not take.samples:
        click.echo("nothing was recorded", err=True)
        return
    click.echo(f"{take.seconds:.1f} s at {take.sample_rate} Hz in {place} (peak {peak}{ended})")
    if take.is_clipped:
        click.echo("note: it was too loud, and peaks are cut off: turn the gain down", err=True)
    if not take.peak:
        click.echo(f"note: {take.device} gives nothing but silence: is it muted?", err=True)
    if take.missing_seconds:
        click.echo(
            f"note: {take.missing_seconds:.1f} s were lost on the way: the machine was too busy", err=True
        )
