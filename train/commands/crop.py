"""`birdwatchd-train crop`: recordings become clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birdwatchd.cli.screen import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from train.crop import Cut, Cutter

_ABOVE_DB = 6.0
_SHOWN = 5
"""Recordings that are named of those that gave no clip."""


@click.command(short_help="Cut recordings into clips: all, around activity, or around annotations.")
@click.argument("recordings", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("clips"),
    show_default=True,
    help="The folder that clips go to, with a folder for each class and manifest.csv.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1, max=600),
    default=3.0,
    show_default=True,
    help="Length of a clip.",
)
@click.option("--step", type=click.FloatRange(min=0.05), help="From clip to clip. [default: a clip's length]")
@click.option("--label", help="What all of it holds. [default: the class folder that a recording lies in]")
@click.option("--activity", is_flag=True, help="Cut around what is louder than what is usual there.")
@click.option(
    "--above-db",
    type=click.FloatRange(min=0.5, max=60),
    help=f"So much louder counts as activity. [default: {_ABOVE_DB:g}]",
)
@click.option(
    "--low-hz",
    type=click.FloatRange(min=0),
    help="Activity is looked for above this frequency. [default: 500]",
)
@click.option(
    "--annotations",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Cut around these: Raven's selections, Audacity's labels, `birdwatchd analyze`'s csv; a file, or a folder.",
)
@click.option("--channel", default="mix", show_default=True, help="Which channel, counted from 1, or mix.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("wav", "flac", "ogg", "mp3", "aac", "opus")),
    default="wav",
    show_default=True,
    help="wav and flac lose nothing; mp3, aac and opus need ffmpeg.",
)
@click.option("--again", is_flag=True, help="Cut also what was thrown away or moved since it was cut before.")
def crop(recordings: Sequence[Path], **options: Any) -> None:
    """Cut RECORDINGS, files or folders, into clips of one length, mono, 16 bit, at the recording's own rate.

    In a folder with a folder for each class, the class is the label. Steady rain or wind has no activity: cut background
    without --activity. A clip is named RECORDING__FROM-TO, and
    manifest.csv says what it was cut from, so that `birdwatchd-train list` never parts pieces of one recording. Clips that you
    threw away, or moved, are not cut again.

    \b
    Examples:
      birdwatchd-train crop recordings/ -o clips
      birdwatchd-train crop recordings/ --activity --seconds 6
      birdwatchd-train crop dawn.wav --annotations dawn.Table.1.selections.txt
      birdwatchd-train crop dawn.wav --annotations detections.csv --format flac
      birdwatchd-train crop wind.mp3 --label background --step 1.5
    """
    from birdwatchd.errors import RecordingError, UserError
    from train.crop import MANIFEST, Cutter
    from train.manifest import write_manifest

    cut = _cut(options)
    jobs = _jobs(recordings, options, cut)
    cutter = Cutter(options["output"], cut, alone=len(jobs) == 1)
    made, fruitful, failures, barren = 0, 0, [], []
    try:
        with _progress() as bar:
            for recording, label in bar.track(jobs, description="cutting"):
                try:
                    gone = cutter.gone
                    count = len(cutter.cut(recording, label))
                    made += count
                    fruitful += count > 0
                    if not count and cutter.gone == gone:
                        barren.append(recording)
                except RecordingError as error:
                    failures.append(str(error))
    finally:
        # After Ctrl-C the clips that are there are told of as well.
        if cutter.rows:
            write_manifest(options["output"] / MANIFEST, cutter.rows)
    _tell(cutter, failures, cut, jobs)
    if not made and not cutter.gone:
        raise UserError(
            f"no clip was cut from {len(jobs)} recording(s): {failures[0] if failures else _why_nothing(cut)}"
        )
    if barren:
        say(f"no clip from {len(barren)} recording(s), {_why_nothing(cut)}:")
        for recording in barren[:_SHOWN]:
            say(f"  {recording}")
        if len(barren) > _SHOWN:
            say(f"  … and {len(barren) - _SHOWN} more")
    click.echo(f"{made} clips from {fruitful} recording(s) in {options['output']}")


def _cut(options: dict[str, Any]) -> Cut:
    from birdwatchd.errors import UserError
    from train.activity import LOW_HZ
    from train.annotations import read_annotations
    from train.crop import Cut

    annotated, activity = bool(options["annotations"]), options["activity"]
    if annotated and (activity or options["label"]):
        other = "--activity" if activity else "--label"
        raise UserError(f"--annotations and {other} exclude each other: annotations say where, and what")
    if options["step"] and (annotated or activity):
        raise UserError("--step is for cutting everything: leave it out")
    if not activity and (options["above_db"] or options["low_hz"]):
        raise UserError("--above-db and --low-hz are for --activity: add it")
    channel = options["channel"]
    if channel != "mix" and not (channel.isascii() and channel.isdecimal() and int(channel) > 0):
        raise UserError(f"--channel {channel!r} is no channel: give its number, counted from 1, or mix")
    return Cut(
        seconds=options["seconds"],
        step=options["step"],
        channel=channel if channel == "mix" else int(channel),
        format=options["form"],
        above_db=(options["above_db"] or _ABOVE_DB) if activity else None,
        low_hz=LOW_HZ if options["low_hz"] is None else options["low_hz"],
        annotations=tuple(one for path in options["annotations"] for one in read_annotations(path))
        if annotated
        else None,
        again=options["again"],
    )


def _jobs(recordings: Sequence[Path], options: dict[str, Any], cut: Cut) -> list[tuple[Path, str]]:
    """What to cut, with its label; what lies where the clips go is none of it.

    Raises:
        UserError: nothing is left, or the label of one is not known.
    """
    from birdwatchd.analysis.files import find
    from birdwatchd.errors import UserError

    found = [(file.path, source) for source in recordings for file in find([source])]
    output = options["output"].resolve()
    # A recording that is named by itself is meant, wherever it lies.
    outside = [one for one in found if one[1].is_file() or not one[0].resolve().is_relative_to(output)]
    if not outside:
        raise UserError(
            f"what lies in {options['output']} are clips, not recordings: name another folder for the clips (--output)"
        )
    if len(outside) < len(found):
        say(f"not cut, as clips go there: {len(found) - len(outside)} files in {options['output']}")
    return [(path, _label(path, source, options["label"], cut)) for path, source in outside]


def _label(recording: Path, source: Path, label: str | None, cut: Cut) -> str:
    from birdwatchd.errors import UserError
    from train.crop import class_of
    from train.manifest import tidy

    if cut.annotations is not None:
        return ""
    name = tidy(label or class_of(recording, source))
    if not name:
        raise UserError(
            f"what does {recording} hold? Say it with --label, or put recordings into a folder for each class and name "
            "the folder that holds those"
        )
    return name


def _progress() -> Any:
    from rich.console import Console
    from rich.progress import Progress

    screen = Console(stderr=True)
    return Progress(console=screen, transient=True, disable=not screen.is_terminal)


def _tell(cutter: Cutter, failures: Sequence[str], cut: Cut, jobs: Sequence[tuple[Path, str]]) -> None:
    for complaint in cutter.complaints:
        say(f"cut as far as it goes: {complaint}")
    if cutter.gone:
        say(
            f"not cut again, as they were thrown away or moved since: {cutter.gone} clips (--again cuts them too)"
        )
    if failures and len(jobs) > 1:
        say(f"skipped, cannot be read: {len(failures)}")
        for failure in failures:
            say(f"  {failure}")
    if cut.annotations is not None:
        from train.annotations import of_recording

        known = {
            one
            for recording, _ in jobs
            for one in of_recording(cut.annotations, recording, alone=len(jobs) == 1)
        }
        elsewhere = sorted({one.file.removeprefix("\0") for one in cut.annotations if one not in known})
        if elsewhere:
            say(f"annotations of recordings that were not given: {', '.join(elsewhere[:5])}")


def _why_nothing(cut: Cut) -> str:
    if cut.annotations is not None:
        return "no annotation is of them; do their names agree?"
    return "nothing stands out; try a lower --above-db or --low-hz" if cut.above_db else "they are too short"
