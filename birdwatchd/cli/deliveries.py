"""`birdwatchd deliveries`: what became of what detections set off."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

import click

from birdwatchd.cli.screen import open_screen
from birdwatchd.cli.station import Station, find_station, station_options
from birdwatchd.domain import DeliveryStatus
from birdwatchd.errors import UserError
from birdwatchd.times import parse_moment, show_time

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo
    from pathlib import Path

    from birdwatchd.store.deliveries import Choice, Entry

_TABLE_LIMIT = 50
_NOTICED_SECONDS = 30
"""A daemon that runs looks for revived deliveries so often."""


@click.command(short_help="What became of what detections set off; dead ones can be revived.")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@station_options
@click.option("--action", multiple=True, metavar="NAME", help="Of this action only; repeatable.")
@click.option(
    "--status",
    multiple=True,
    type=click.Choice(get_args(DeliveryStatus)),
    help="Only those that are waiting, done, dead, expired or lost; repeatable.",
)
@click.option("--since", metavar="TIME", help="From this time on: 07:42, today, 2h (ago), 2026-05-09, ...")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"The newest N only. [default: {_TABLE_LIMIT} for the table, else all]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.option(
    "--retry", is_flag=True, help="Let the dead ones among them wait again, also while the daemon runs."
)
def deliveries(
    *,
    keys: tuple[str, ...],
    config: Path | None,
    database: Path | None,
    action: tuple[str, ...],
    status: tuple[str, ...],
    since: str | None,
    limit: int | None,
    as_json: bool,
    retry: bool,
) -> None:
    """What became of what detections set off, the newest last.

    \b
    waiting   to be tried, or tried again
    done      the action said so
    dead      given up after too long, or because trying again would not help; --retry revives it
    expired   worth nothing any more
    lost      it needed sound that is gone

    KEY is a delivery's key, as --json tells it, or the id of a detection.

    \b
    Examples:
      birdwatchd deliveries --status waiting --status dead
      birdwatchd deliveries --action mqtt --since today
      birdwatchd deliveries --retry --action mqtt
      birdwatchd deliveries --retry 3f0c5d1be2a94c77a1d0
    """
    from birdwatchd.store.deliveries import Choice

    station = find_station(config, database)
    moment = parse_moment(since, datetime.now(UTC), station.zone) if since else None
    choice = Choice(actions=action, statuses=status, since=moment, keys=keys)
    if retry:
        _revive(station, choice)
    elif as_json:
        _write_json(station, choice, limit)
    else:
        _show_table(station, choice, limit)


def _revive(station: Station, choice: Choice) -> None:
    import sqlite3

    from birdwatchd.errors import StoreError
    from birdwatchd.store.database import Database
    from birdwatchd.store.deliveries import revive
    from birdwatchd.store.faults import sentence

    if set(choice.statuses) - {"dead"}:
        raise UserError("--retry is for dead deliveries; leave --status out")
    with Database.open_beside(station.database) as database:
        try:
            count = revive(database, choice, datetime.now(UTC))
        except sqlite3.Error as error:
            raise StoreError(sentence(error, database.path)) from error
    if not count:
        raise UserError(
            "no dead delivery fits, so nothing was revived; `birdwatchd deliveries --status dead` shows all there are"
        )
    noun = "delivery waits" if count == 1 else "deliveries wait"
    click.echo(
        f"{count} {noun} again; a daemon that runs takes up what waits within {_NOTICED_SECONDS} seconds"
    )


def _show_table(station: Station, choice: Choice, limit: int | None) -> None:
    from rich.table import Table
    from rich.text import Text

    from birdwatchd.store.deliveries import count, find

    with station.open() as database:
        entries = list(find(database, choice, newest=limit or _TABLE_LIMIT))
        totals = count(database, choice)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Time", "Action", "Species", "State", "Status", "Tries", "What is known"):
        table.add_column(
            name, justify="right" if name == "Tries" else "left", no_wrap=name in ("Time", "Status", "State")
        )
    for entry in entries:
        delivery = entry.delivery
        colour = {"done": "green", "waiting": "yellow"}.get(delivery.status, "red")
        table.add_row(
            show_time(delivery.created, station.zone),
            delivery.action,
            delivery.detection.label.common_name,
            delivery.detection.state,
            Text(delivery.status, colour),
            str(delivery.attempts),
            _known(entry, station.zone),
        )
    if not entries:
        click.echo(
            "No delivery fits. They are made when a detection sets off an action of the config.", err=True
        )
        return
    open_screen().print(table)
    told = ", ".join(f"{number} {status}" for status, number in totals.items())
    more = sum(totals.values()) - len(entries)
    click.echo(f"{told}{f'; {more} older ones are not shown, see --limit' if more > 0 else ''}", err=True)


def _known(entry: Entry, zone: tzinfo | None) -> str:
    """What went wrong, when it is tried again, and what the action noted."""
    told = [entry.delivery.error] if entry.delivery.error else []
    if entry.delivery.status == "waiting" and entry.delivery.attempts:
        told.append(f"again at {show_time(entry.next, zone)}")
    told += [f"{name} {value}" for name, value in entry.notes.items()]
    return "; ".join(told)


def _write_json(station: Station, choice: Choice, limit: int | None) -> None:
    import json

    from birdwatchd.store.deliveries import find, to_record

    with station.open() as database:
        rows: Iterable[dict[str, Any]] = (
            to_record(entry, station.zone) for entry in find(database, choice, newest=limit)
        )
        between = "[\n"
        for row in rows:
            sys.stdout.write(between + json.dumps(row, ensure_ascii=False))
            between = ",\n"
        sys.stdout.write("\n]\n" if between == ",\n" else "[]\n")
