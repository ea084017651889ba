"""`birdwatchd model compare`: which of two bundles is right more often on the clips that were reviewed."""

from __future__ import annotations

import math
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birdwatchd.cli.screen import open_screen, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from birdwatchd.analysis.comparison import Case, Comparison, Tally
    from birdwatchd.config.schema import Deciding
    from birdwatchd.store.judged import Judged

_FAULTS = 5
"""Clips that are named of those that cannot be read."""


@click.command()
@click.argument("bundles", metavar="A B", nargs=2)
@click.option(
    "-c", "--config", type=click.Path(path_type=Path), help="The config of the station that was reviewed."
)
@click.option("--database", type=click.Path(path_type=Path), help="Take this file; no config is needed then.")
@click.option(
    "--clips",
    type=click.Path(file_okay=False, path_type=Path),
    help="Its clips. [default: as the config says, else clips beside the database]",
)
@click.option("--since", metavar="TIME", help="Only detections from this time on: 2026-05-01, 30d (ago), ...")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png",
              help="Draw precision over recall of both.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def compare(bundles: tuple[str, str], **options: Any) -> None:
    """Let the bundles A and B hear all clips that were reviewed, and count where each is right.

    A bundle is a name in the models folder, or a file; sample rates and input lengths may differ. Each decides as the
    daemon would with it: with the thresholds of its card, unless the config has others. Right clips are to be found;
    in wrong ones, and in those of another species, the claim is not to come again.

    The clips are those that the station's model has reported: what it missed is not among them. A model that has learnt from
    these clips knows them by heart: compare on those of the time since then (--since).

    \b
    Examples:
      birdwatchd model compare birdnet garden
      birdwatchd model compare birdnet garden --since 30d --picture compared.png
      birdwatchd model compare old.pt new.pt --database /media/stick/birdwatchd.sqlite --json
    """
    from birdwatchd.errors import UserError

    place = _Place(options["config"], options["database"], options["clips"])
    since = place.moment(options["since"]) if options["since"] else None
    clips, waiting = _clips(place, since)
    if not clips:
        raise UserError(
            f"no clip in {place.clips} was reviewed{' since then' if since else ''} ({waiting} wait for it): judge some on "
            "the page, below Review, or in the JSON file beside each clip"
        )
    found = _compare(bundles, place, clips)
    if options["picture"]:
        _draw(found, options["picture"])
    if options["as_json"]:
        import json

        click.echo(json.dumps(_plain(found), ensure_ascii=False, indent=2))
    else:
        _print(found)
    for fault in found.faults[:_FAULTS]:
        say(f"left out: {fault}")
    if len(found.faults) > _FAULTS:
        say(f"left out: {len(found.faults) - _FAULTS} clips more")


class _Place:
    """Where the clips are, and how the station decides."""

    deciding: Deciding
    zone: tzinfo | None = None

    def __init__(self, config: Path | None, database: Path | None, clips: Path | None) -> None:
        if config is None and database is not None:
            from birdwatchd.config.schema import Deciding

            self.database, self.clips = database, clips or database.parent / "clips"
            self.deciding, self.window_seconds, self.hop_seconds = Deciding(), 6.0, 1.5
            return
        from zoneinfo import ZoneInfo

        from birdwatchd.config.load import find_config, load

        loaded = load(config or find_config()).config
        self.database = database or loaded.store.database
        self.clips = clips or loaded.store.clips_folder
        self.deciding = loaded.deciding
        self.window_seconds, self.hop_seconds = loaded.window_seconds, loaded.hop_seconds
        if loaded.location and loaded.location.timezone:
            self.zone = ZoneInfo(loaded.location.timezone)

    def moment(self, text: str) -> datetime:
        from birdwatchd.times import parse_moment

        return parse_moment(text, datetime.now(UTC), self.zone)


def _clips(place: _Place, since: datetime | None) -> tuple[list[Judged], int]:
    """Those that somebody judged for certain, and how many there are besides."""
    from birdwatchd.store.database import Database
    from birdwatchd.store.judged import judged

    with Database.open(place.database, read_only=True) as database:
        there = [one for one in judged(database, place.clips) if one is not None]
    certain = [
        one
        for one in there
        if one.opinion not in ("", "unsure") and (since is None or one.detection.start >= since)
    ]
    return certain, len(there) - len(certain)


def _compare(bundles: tuple[str, str], place: _Place, clips: Sequence[Judged]) -> Comparison:
    from rich.progress import MofNCompleteColumn, Progress

    from birdwatchd.analysis.comparison import Ear, compare
    from birdwatchd.cli.terminal import Terminal
    from birdwatchd.model.catalog import find
    from birdwatchd.model.classifier import Classifier

    paths = [find(bundle) for bundle in bundles]
    screen = Terminal(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with ExitStack() as stack:
        ears = [
            Ear(
                name,
                stack.enter_context(Classifier.load(path)),
                place.deciding,
                window_seconds=place.window_seconds,
                hop_seconds=place.hop_seconds,
            )
            for name, path in zip(_names(paths), paths, strict=True)
        ]
        bar = stack.enter_context(
            Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
        )
        task = bar.add_task("listening", total=len(clips))
        return compare(ears, clips, progress=lambda: bar.advance(task))


def _names(paths: Sequence[Path]) -> list[str]:
    """What to call them: the file's name, as its card may say the same of both."""
    names = [path.stem for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _print(found: Comparison) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Species")
    for name in ("Right", "Wrong"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in found.names:
        for what in ("found", "false", "AP"):
            table.add_column(f"{name}\n{what}", justify="right")
    rows = [*found.species, ("", "all", list(found.cases))]
    for scientific, common, cases in rows:
        if not scientific:
            table.add_section()
        there = sum(case.is_there for case in cases)
        table.add_row(
            common or scientific,
            str(there),
            str(len(cases) - there),
            *(cell for model in range(len(found.names)) for cell in _cells(found.tally(model, cases))),
        )
    open_screen().print(table)
    click.echo(
        f"\n{found.clips} reviewed clips. Found: of the right ones, at each model's own thresholds. False: claims that were "
        "judged wrong, made again.\nAP: average precision, whatever the thresholds, over species that both know; "
        "1 puts all right ones before all wrong ones."
    )
    for name, count in zip(found.names, found.beyond, strict=True):
        if count:
            click.echo(
                f"In {count} of the clips {name} claims something else besides, of which nobody has said whether it is there."
            )
    for model, name in enumerate(found.names):
        lacking = sorted({case.common_name for case in found.cases if case.scores[model] is None})
        if lacking:
            more = f" and {len(lacking) - _FAULTS} more" if len(lacking) > _FAULTS else ""
            click.echo(f"{name} has no label for {', '.join(lacking[:_FAULTS])}{more}.")


def _cells(tally: Tally) -> tuple[str, str, str]:
    if not tally.is_known:
        return "-", "-", "-"
    precision = tally.average_precision
    return str(tally.found), str(tally.false), "-" if math.isnan(precision) else f"{precision:.3f}"


def _plain(found: Comparison) -> dict[str, Any]:
    def told(cases: Sequence[Case]) -> dict[str, Any]:
        there = sum(case.is_there for case in cases)
        models = {}
        for model, name in enumerate(found.names):
            tally = found.tally(model, cases)
            models[name] = {
                "found": tally.found,
                "false": tally.false,
                "has_label": tally.is_known,
                "average_precision": None
                if math.isnan(tally.average_precision)
                else round(tally.average_precision, 6),
            }
        return {"right": there, "wrong": len(cases) - there, "models": models}

    return {
        "clips": found.clips,
        "all": told(found.cases),
        "species": [
            {"scientific_name": scientific, "common_name": common, **told(cases)}
            for scientific, common, cases in found.species
        ],
        "claims_beyond": dict(zip(found.names, found.beyond, strict=True)),
        "left_out": list(found.faults),
    }


def _draw(found: Comparison, path: Path) -> None:
    from birdwatchd.analysis.comparison_picture import picture
    from birdwatchd.errors import UserError

    content = picture(found)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UserError(f"the picture {path} cannot be written: {error.strerror}") from error
