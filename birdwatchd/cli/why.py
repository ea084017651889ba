"""`birdwatchd why`: it was listening, so why was that not reported?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from birdwatchd.cli.screen import open_screen
from birdwatchd.cli.station import Station, find_station, station_options
from birdwatchd.times import parse_moment, parse_seconds, show_length, show_time

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from birdwatchd.why import Group


@click.command(short_help="Why was it not reported? What stopped each candidate.")
@click.argument("moment", metavar="TIME")
@station_options
@click.option(
    "--species", multiple=True, metavar="NAME", help="Common or scientific name, * for anything; repeatable."
)
@click.option("--source", multiple=True, metavar="NAME", help="This source only; repeatable.")
@click.option(
    "--within", default="60s", show_default=True, metavar="LENGTH", help="So far before and after: 60s, 5m."
)
@click.option("--each", is_flag=True, help="Every window by itself, not summed up.")
def why(
    *,
    moment: str,
    config: Path | None,
    database: Path | None,
    species: tuple[str, ...],
    source: tuple[str, ...],
    within: str,
    each: bool,
) -> None:
    """Every candidate near that moment, and the gate that stopped it.

    A candidate is one of the five best labels of a window with a score of 0.1 or more. They are kept for a week
    (store.trace_days). Where there is none it says whether it was silent or not listening.

    \b
    Examples:
      birdwatchd why 07:42
      birdwatchd why "yesterday 21:15" --species "tawny owl" --within 5m
      birdwatchd why 2026-05-09T07:42:10 --source garden --each
    """
    from birdwatchd.why import Question, answer, sentence

    station = find_station(config, database)
    now = datetime.now(UTC)
    at = parse_moment(moment, now, station.zone)
    reach = timedelta(seconds=parse_seconds(within))
    question = Question(at - reach, at + reach, station.zone, species, source, station.trace_days)
    with station.open() as opened:
        found = answer(opened, question, now, each=each)
    click.echo(f"{show_time(at, station.zone)}, {show_length(reach.total_seconds())} before and after\n")
    if found.groups:
        _show(found.groups, station)
        click.echo()
    lines = [*(sentence(one, station.zone) for one in found.reported), *found.listening]
    click.echo("\n".join([*lines, found.nothing] if found.nothing else lines))


def _show(groups: Iterable[Group], station: Station) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Time", "Source"):
        table.add_column(name, no_wrap=True)
    table.add_column("Species")
    for name in ("Windows", "Score", "Needs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("What became of it")
    for group in groups:
        best = group.best
        table.add_row(
            group.when(station.zone),
            best.source,
            best.label.common_name or best.label.scientific_name,
            str(len(group.candidates)),
            f"{best.score:.2f}",
            f"{best.threshold:.2f}",
            Text(group.fate, "green" if group.is_reported else "yellow"),
        )
    open_screen().print(table)
