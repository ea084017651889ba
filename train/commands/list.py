"""`birdwatchd-train list`: from folders, tables and databases to one manifest."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birdwatchd.cli.screen import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from train.inspection import Inspected
    from train.listing import Sifted
    from train.manifest import Row
    from train.sources import Gathered

_SHOWN = 5
"""Files that are named of each kind that is left out; `--all` names all."""


@click.command("list", short_help="Make a manifest: which sound holds what, and what it is for.")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("manifest.csv"),
    show_default=True,
    help="Where the manifest goes.",
)
@click.option(
    "--kind",
    type=click.Choice(("folders", "esc50", "urbansound8k", "shared", "manifest", "tutorial", "database")),
    help="What the sources are. [default: what they look like]",
)
@click.option(
    "--negative",
    "negatives",
    multiple=True,
    metavar="LABEL",
    help="Sound with this label holds nothing that is to be recognised; * stands for anything.",
)
@click.option("--audio", type=click.Path(file_okay=False, path_type=Path), help="Where a table's files lie.")
@click.option("--only", multiple=True, metavar="COLUMN=VALUE", help="Rows of a table that hold this.")
@click.option(
    "--group",
    metavar="REGEX",
    help="What it finds in a file name is the recording (or recordist) that is never divided.",
)
@click.option(
    "--clips",
    type=click.Path(file_okay=False, path_type=Path),
    help="A database's clips folder. [default: clips beside it]",
)
@click.option("--unreviewed", is_flag=True, help="Take detections that nobody has reviewed as right.")
@click.option(
    "--min-seconds",
    type=click.FloatRange(min=0),
    default=2.1,
    show_default=True,
    help="Shorter clips are left out.",
)
@click.option(
    "--split",
    metavar="TRAIN,VALIDATION,TEST",
    help="Fractions, such as 0.8,0.2,0. [default: what the sources say, else 0.7,0.15,0.15]",
)
@click.option("--folds", type=click.IntRange(2, 100), metavar="K", help="Folds instead of splits.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another one deals otherwise.")
@click.option(
    "--tutorial",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Also write train_list.txt, test_list.txt … of path<TAB>label, and label_list.txt.",
)
@click.option("--all", "name_all", is_flag=True, help="Name every file that is left out.")
def list_(sources: Sequence[Path], **options: Any) -> None:
    """Make a manifest of SOURCES: what each clip holds, and whether it is for training, validation or testing.

    A source is a folder with a folder for each class (and what `crop` wrote down of its clips), the table of ESC-50 or UrbanSound8K, any table with the columns
    path and label (and fold, group), a list of path<TAB>label lines, another manifest, or the database of birdwatchd:
    of that, detections that somebody judged, on the review page or in the JSON file beside the clip ("reviewed": true, or
    "verdict": "right"): right ones with their species, others with that which was heard instead, wrong ones as sound
    in which the model must hear nothing. Of two verdicts the newest counts.

    Clips of one recording (group) always stay on one side. Every clip is read once: what is unreadable, too short,
    silent, or there twice is left out and named.

    \b
    Examples:
      birdwatchd-train list birds/
      birdwatchd-train list birds/ ambience/ --negative 'ambience' --folds 5
      birdwatchd-train list ESC-50/meta/esc50.csv --only esc10=True -o esc10.csv
      birdwatchd-train list birds/ --group '^(XC[0-9]+)' --split 0.8,0.2,0
      birdwatchd-train list ~/.local/share/birdwatchd/birdwatchd.sqlite birds/
    """
    from birdwatchd.cli.screen import open_screen
    from train.census import census, several_rates
    from train.inspection import inspect_all
    from train.listing import join_same, sift, spell_alike, take_as_nothing, warnings
    from train.manifest import write_manifest
    from train.parts import count_clips

    fractions = _fractions(options["split"], options["folds"])
    gathered = _gather(sources, options)
    notes = [note for one in gathered for note in one.notes]
    rows, spelled = spell_alike([row for one in gathered for row in one.rows])
    rows = join_same(take_as_nothing(rows, options["negatives"]))
    sifted = sift(_inspect(rows, inspect_all), min_seconds=options["min_seconds"])
    _tell_left_out(sifted, rows, name_all=options["name_all"])
    placed = _place([one.row for one in sifted.clips], fractions, options)
    write_manifest(options["output"], placed)
    said = [*notes, *spelled, *several_rates(sifted.clips)]
    if options["tutorial"]:
        from train.tutorial import write_lists

        if lost := write_lists(options["tutorial"], placed):
            said.append(
                f"{lost} rows cannot stand in the tutorial's lists: each has room for one label and whole files"
            )
    clips = [replace(one, row=row) for one, row in zip(sifted.clips, placed, strict=True)]
    for line in (*said, *warnings(clips)):
        say(f"note: {line}")
    screen = open_screen()
    screen.print(census(clips))
    screen.print(f"\n{count_clips(len(placed))} in {options['output']}", soft_wrap=True)


def _gather(sources: Sequence[Path], options: Mapping[str, Any]) -> list[Gathered]:
    from birdwatchd.errors import UserError
    from train.sources import Wanted, gather

    try:
        group = re.compile(options["group"]) if options["group"] else None
    except re.error as error:
        raise UserError(f"--group {options['group']!r} is no regular expression ({error})") from error
    only = {}
    for pair in options["only"]:
        column, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--only {pair!r} is not COLUMN=VALUE, such as --only set=warblers")
        only[column] = value
    wanted = Wanted(options["audio"], only, group, options["clips"], options["unreviewed"])
    return [gather(source, wanted, options["kind"] or "") for source in sources]


def _fractions(text: str | None, folds: int | None) -> list[float] | None:
    from birdwatchd.errors import UserError

    if text is None:
        return None
    if folds:
        raise UserError("--split and --folds exclude each other: give one of them")
    try:
        fractions = [float(part) for part in text.split(",")]
    except ValueError:
        fractions = []
    whole = 1.0
    if len(fractions) != len(("train", "validation", "test")) or not all(
        0 <= part <= 1 for part in fractions
    ):
        raise UserError(f"--split {text!r} is not three fractions, such as 0.7,0.15,0.15")
    if abs(sum(fractions) - whole) > 1e-6:  # noqa: PLR2004 - what floats lose
        raise UserError(f"--split {text!r} adds up to {sum(fractions):g}: it must be 1")
    return fractions


def _inspect(rows: list[Row], inspect_all: Any) -> list[Inspected]:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    screen = Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("listening", total=len(rows))
        inspected: list[Inspected] = inspect_all(rows, lambda _: bar.advance(task))
    return inspected


def _tell_left_out(sifted: Sifted, rows: Sequence[Row], *, name_all: bool) -> None:
    """What is left out, counted and named, on standard error.

    Raises:
        UserError: nothing is left.
    """
    from birdwatchd.errors import UserError
    from train.splitting import NOTHING, species_of

    kinds = {
        "cannot be read": [one.failure for one in sifted.unreadable],
        "too short": [f"{one.row.path} ({one.seconds:.2f} s)" for one in sifted.too_short],
        "silent": [str(one.row.path) for one in sifted.silent],
        "there twice": [f"{one.row.path} is {known.row.path}" for one, known in sifted.duplicates],
        "the same sound with other labels, neither is taken": [
            f"{one.row.path} ({'; '.join(one.row.labels)}) is {known.row.path} ({'; '.join(known.row.labels)})"
            for one, known in sifted.contradictory
        ],
    }
    for kind, names in kinds.items():
        if names:
            say(f"left out, {kind}: {len(names)}")
            for name in names if name_all else names[:_SHOWN]:
                say(f"  {name}")
            if len(names) > _SHOWN and not name_all:
                say(f"  … and {len(names) - _SHOWN} more (--all names them)")
    for one in sifted.clips:
        if one.complaint:
            say(f"taken as far as it goes: {one.row.path}: {one.complaint}")
    if not sifted.clips:
        raise UserError("no clip is of use: see above why")
    left = {species for one in sifted.clips for species in species_of(one.row)}
    gone = sorted({species for row in rows for species in species_of(row)} - left - {NOTHING})
    for species in gone:
        say(f"left out, a class without any clip that is of use: {species!r}")


def _place(rows: Sequence[Row], fractions: list[float] | None, options: Mapping[str, Any]) -> list[Row]:
    from train.parts import fold, keep, split

    if options["folds"]:
        return fold(rows, options["folds"], seed=options["seed"])
    if fractions:
        return split(rows, fractions, seed=options["seed"])
    return keep(rows, seed=options["seed"])
