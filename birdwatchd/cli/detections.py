"""`birdwatchd detections`: what was heard."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import click

from birdwatchd.cli.screen import open_screen
from birdwatchd.cli.station import Station, find_station, station_options
from birdwatchd.errors import UserError
from birdwatchd.times import parse_moment, show_length, show_time

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from birdwatchd.domain import Detection
    from birdwatchd.store.database import Database
    from birdwatchd.store.detections import Choice, SpeciesTotal

_TABLE_LIMIT = 100
_EARLIER = 10
_POLL_SECONDS = 1.0


@click.command(short_help="What was heard: a table, CSV, JSON, or a Raven selection table.")
@station_options
@click.option(
    "--species", multiple=True, metavar="NAME", help="Common or scientific name, * for anything; repeatable."
)
@click.option("--since", metavar="TIME", help="From this time on: 07:42, today, 2h (ago), 2026-05-09, ...")
@click.option("--until", metavar="TIME", help="Before this time; a day is included whole.")
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.0, help="At least this score, 0 to 1.")
@click.option("--source", multiple=True, metavar="NAME", help="From this source only; repeatable.")
@click.option("--site", multiple=True, metavar="NAME", help="From this site only; repeatable.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"The newest N only. [default: {_TABLE_LIMIT} for the table, else all]",
)
@click.option("--csv", "form", flag_value="csv", help="Comma-separated values, with a header.")
@click.option(
    "--json", "form", flag_value="json", help="One JSON array (with --follow: one object per line)."
)
@click.option("--raven", "form", flag_value="raven", help="A selection table for Raven.")
@click.option("--summary", "form", flag_value="summary", help="One line per species, with counts.")
@click.option("--follow", is_flag=True, help="Go on with new ones as they end, until Ctrl-C.")
def detections(
    *,
    config: Path | None,
    database: Path | None,
    species: tuple[str, ...],
    since: str | None,
    until: str | None,
    min_score: float,
    source: tuple[str, ...],
    site: tuple[str, ...],
    limit: int | None,
    form: str | None,
    follow: bool,
) -> None:
    """What was heard, the newest last.

    In --raven's table the times are seconds since --since, or, without it, since the midnight before the first row.

    \b
    Examples:
      birdwatchd detections --since today
      birdwatchd detections --species "great tit" --species "Turdus *" --since 3d
      birdwatchd detections --since yesterday --until yesterday --summary
      birdwatchd detections --since 2026-05-01 --min-score 0.9 --csv > may.csv
      birdwatchd detections --follow --json | jq .common_name
    """
    from birdwatchd.store.detections import Choice

    if follow and form in ("summary", "raven"):
        raise UserError(f"--follow does not go with --{form}; leave one of them out")
    station = find_station(config, database)
    moment = partial(parse_moment, now=datetime.now(UTC), zone=station.zone)
    choice = Choice(
        species=species,
        since=moment(since) if since else None,
        until=moment(until, end_of_day=True) if until else None,
        min_score=min_score,
        sources=source,
        sites=site,
    )
    if follow:
        # Ctrl-C is how it is meant to end.
        with suppress(KeyboardInterrupt):
            _follow(station, choice, form, limit)
        return
    with station.open() as opened:
        if not _show(opened, station, choice, form, limit):
            click.echo(_what_to_do(opened, station, choice), err=True)


def _show(database: Database, station: Station, choice: Choice, form: str | None, limit: int | None) -> bool:
    """Print them, and say whether there were any."""
    from birdwatchd import detection_rows
    from birdwatchd.store.detections import count, find

    if form == "summary":
        return _show_summary(count(database, choice), station)
    if form is None:
        return _show_table(find(database, choice, newest=(limit or _TABLE_LIMIT) + 1), station, limit)
    found = find(database, choice, newest=limit)
    first = next(found, None)
    every = () if first is None else chain((first,), found)
    if form == "csv":
        detection_rows.write_csv(every, station.zone, sys.stdout)
    elif form == "json":
        detection_rows.write_json(every, station.zone, sys.stdout)
    else:
        detection_rows.write_raven(every, station.zone, sys.stdout, zero=choice.since)
    return first is not None


def _show_table(found: Iterable[Detection], station: Station, limit: int | None) -> bool:
    from rich.table import Table
    from rich.text import Text

    rows = list(found)
    more = len(rows) > (limit or _TABLE_LIMIT)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("Time", "left"), ("Species", "left"), ("Score", "right"), ("Length", "right")):
        table.add_column(name, justify=justify, no_wrap=name != "Species")  # type: ignore[arg-type] # a literal
    table.add_column("Source")
    for detection in rows[1:] if more else rows:
        table.add_row(
            show_time(detection.start, station.zone),
            Text.assemble(
                detection.label.common_name, (f"  {detection.label.scientific_name}", "dim italic")
            ),
            f"{detection.score:.2f}",
            _length(detection),
            _place(detection),
        )
    if rows:
        open_screen().print(table)
    if more and limit is None:
        click.echo(
            f"These are the newest {_TABLE_LIMIT}; --limit shows more, --summary counts all.", err=True
        )
    return bool(rows)


def _show_summary(totals: list[SpeciesTotal], station: Station) -> bool:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Species")
    for name in ("Detections", "Heard for", "Best score"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("First", "Last"):
        table.add_column(name, no_wrap=True)
    for total in totals:
        table.add_row(
            Text.assemble(total.common_name, (f"  {total.scientific_name}", "dim italic")),
            str(total.detections),
            show_length(total.seconds),
            f"{total.best_score:.2f}",
            show_time(total.first, station.zone),
            show_time(total.last, station.zone),
        )
    if totals:
        open_screen().print(table)
    return bool(totals)


def _follow(station: Station, choice: Choice, form: str | None, limit: int | None) -> None:
    """Print the newest ones, then each new one once it has ended."""
    from birdwatchd import detection_rows
    from birdwatchd.store.detections import find, settled

    def write(found: Iterable[Detection], *, first: bool = False) -> None:
        if form == "csv":
            detection_rows.write_csv(found, station.zone, sys.stdout, header=first)
        elif form == "json":
            detection_rows.write_json_lines(found, station.zone, sys.stdout)
        else:
            for detection in found:
                click.echo(_line(detection, station))
        sys.stdout.flush()

    with station.open() as database:
        place = settled(database)
        earlier = list(find(database, choice, newest=limit or _EARLIER))
        printed = {
            each.id for each in find(database, replace(choice, after_place=place)) if each.state == "ended"
        }
    write((each for each in earlier if each.state == "ended"), first=True)
    while True:
        time.sleep(_POLL_SECONDS)
        with station.open() as database:
            next_place = max(place, settled(database))
            ended = [
                each for each in find(database, replace(choice, after_place=place)) if each.state == "ended"
            ]
        write(each for each in ended if each.id not in printed)
        place, printed = next_place, {each.id for each in ended}


def _line(detection: Detection, station: Station) -> str:
    when = show_time(detection.start, station.zone)
    name = f"{detection.label.common_name} ({detection.label.scientific_name})"
    return f"{when}  {detection.score:.2f}  {_length(detection):>7}  {name}  {_place(detection)}"


def _length(detection: Detection) -> str:
    if detection.state == "started":
        return "going on"
    return show_length((detection.end - detection.start).total_seconds())


def _place(detection: Detection) -> str:
    return f"{detection.source} ({detection.site})" if detection.site else detection.source


def _what_to_do(database: Database, station: Station, choice: Choice) -> str:
    """Why nothing was found, in a sentence."""
    from birdwatchd.config.species import matches
    from birdwatchd.store.detections import Choice, find, species

    newest = next(find(database, Choice(), newest=1), None)
    if newest is None:
        return (
            "Nothing was detected yet. `birdwatchd ledger` shows whether it listens, "
            "`birdwatchd why HH:MM` what it heard and did not report."
        )
    known = species(database)
    for pattern in choice.species:
        if not any(matches(pattern, label) for label in known):
            names = [name for label in known for name in (label.common_name, label.scientific_name)]
            near = get_close_matches(pattern.title(), names, n=1)
            hint = (
                f"did you mean '{near[0]}'?"
                if near
                else "`birdwatchd detections --summary` lists all that were."
            )
            return f"'{pattern}' was never detected; {hint}"
    return (
        f"No detection fits. The newest of all is of {show_time(newest.start, station.zone)}, "
        f"{newest.label.common_name} in {_place(newest)}: ask for more time, a lower score, or another source."
    )
