"""`birdwatchd ledger`: what became of every second."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from birdwatchd.balance import balance_of, beginning, show_share, total
from birdwatchd.cli.screen import open_screen
from birdwatchd.cli.station import find_station, station_options
from birdwatchd.times import parse_moment, show_length, show_time

if TYPE_CHECKING:
    from datetime import tzinfo
    from pathlib import Path

    from rich.text import Text

    from birdwatchd.balance import Balance, Balances, By

_HOUR = timedelta(hours=1)
_SPANS = {"hour": timedelta(hours=24), "day": timedelta(days=30)}
"""What is shown when no time is asked for, up to the newest entry."""
_BAD_SHARE = 0.9


@click.command(short_help="What was heard, analysed and lost, per hour and cause.")
@station_options
@click.option("--since", metavar="TIME", help="From this time on: today, 2d (ago), 2026-05-09, ...")
@click.option("--until", metavar="TIME", help="Before this time; a day is included whole.")
@click.option("--source", multiple=True, metavar="NAME", help="This source only; repeatable.")
@click.option(
    "--by", type=click.Choice(["hour", "day"]), default="hour", show_default=True, help="Hours or whole days."
)
@click.option("--csv", "form", flag_value="csv", help="Comma-separated values, with a header.")
@click.option("--json", "form", flag_value="json", help="One JSON array, an object per line of the table.")
def ledger(
    *,
    config: Path | None,
    database: Path | None,
    since: str | None,
    until: str | None,
    source: tuple[str, ...],
    by: By,
    form: str | None,
) -> None:
    """What became of every second: heard, analysed, skipped, or lost and why.

    Silence and deafness differ: a quiet hour was heard, a lost one was not. Without --since it shows the last 24 hours
    that have entries, or 30 days with --by day. Of what is older than 400 days only whole days are kept. Hours without any entry were not listened to at all; what was missed
    between two runs is told as not running, with how the run before had ended.

    \b
    Examples:
      birdwatchd ledger
      birdwatchd ledger --by day --since 2026-05-01
      birdwatchd ledger --source garden --since yesterday --csv > ledger.csv
    """
    from birdwatchd.store.ledger import between, newest_hour

    station = find_station(config, database)
    now = datetime.now(UTC)
    start = parse_moment(since, now, station.zone) if since else None
    end = parse_moment(until, now, station.zone, end_of_day=True) if until else None
    with station.open() as opened:
        if start is not None:
            start = start.replace(minute=0, second=0, microsecond=0)
        elif newest := newest_hour(opened, end):
            start = beginning(newest + _HOUR - _SPANS[by], by, station.zone)
        entries = between(opened, start, end)
    wanted = [entry for entry in entries if not source or entry.source in source]
    balances = balance_of(wanted, by, station.zone)
    if form == "csv":
        _write_csv(balances, by, station.zone)
    elif form == "json":
        _write_json(balances, by, station.zone)
    elif balances:
        _show_table(balances, by, station.zone)
    if not balances:
        click.echo(
            "The ledger has nothing for that: birdwatchd was not listening then. Ask for another time with --since, "
            "or start it with `birdwatchd run`.",
            err=True,
        )


def _show_table(balances: Balances, by: By, zone: tzinfo | None) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True, footer_style="bold")
    every = total(balances.values())
    table.add_column(by.capitalize(), "Total", no_wrap=True)
    table.add_column("Source", no_wrap=True)
    for name, footer in (
        ("Heard", _share(every)),
        ("Expected", show_length(every.expected)),
        ("Captured", show_length(every.captured)),
        ("Analysed", show_length(every.analysed)),
    ):
        table.add_column(name, footer, justify="right", no_wrap=True)
    # The one column that may take several lines, so that all of it fits on 80 columns.
    table.add_column("Lost or skipped", _causes(every))
    before: dict[str, datetime] = {}
    for (start, source), balance in balances.items():
        if not balance.expected and balance.off:
            continue  # a hole, and told as one
        end = before.get(source, start)
        if by == "hour" and start > end:
            hole = Text(f"not running for {show_length((start - end).total_seconds())}", "yellow")
            table.add_row(_name(end, by, zone), source, "", "", "", "", hole)
        # An hour, unless it is a day of long ago.
        before[source] = start + max(_HOUR, timedelta(seconds=balance.expected))
        table.add_row(
            _name(start, by, zone),
            source,
            _share(balance),
            show_length(balance.expected),
            show_length(balance.captured),
            show_length(balance.analysed),
            _causes(balance),
        )
    open_screen().print(table)


def _share(balance: Balance) -> Text:
    from rich.text import Text

    share = balance.heard
    style = "dim" if share is None else "green" if share == 1 else "yellow" if share > _BAD_SHARE else "red"
    return Text(show_share(balance), style)


def _causes(balance: Balance) -> Text:
    from rich.text import Text

    lost = [(f"lost {show_length(s)} {cause}", "red") for cause, s in balance.lost.items() if s > 0]
    skipped = [
        (f"skipped {show_length(s)} {cause}", "yellow") for cause, s in balance.skipped.items() if s > 0
    ]
    off = [(f"not running {show_length(s)} ({cause})", "yellow") for cause, s in balance.off.items() if s > 0]
    return Text("\n").join([Text(*part) for part in lost + skipped + off])


def _name(start: datetime, by: By, zone: tzinfo | None) -> str:
    local = show_time(start, zone)
    return local[: len("2026-05-09")] if by == "day" else local[: len("2026-05-09 07:00")]


def _to_record(start: datetime, source: str, balance: Balance, by: By, zone: tzinfo | None) -> dict[str, Any]:
    local = start.astimezone(zone)
    return {
        by: local.date().isoformat() if by == "day" else local.isoformat(),
        "source": source,
        "heard": None if balance.heard is None else round(balance.heard, 5),
        **balance.to_record(),
    }


def _write_csv(balances: Balances, by: By, zone: tzinfo | None) -> None:
    """With one column for each cause that occurs."""
    import csv

    causes = sorted(
        {("lost", cause) for balance in balances.values() for cause in balance.lost}
        | {("skipped", cause) for balance in balances.values() for cause in balance.skipped}
        | {("off", cause) for balance in balances.values() for cause in balance.off}
    )
    columns = (by, "source", "heard", "expected_seconds", "captured_seconds", "analysed_seconds")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*columns, *(f"{kind}_seconds: {cause}" for kind, cause in causes)])
    for (start, source), balance in balances.items():
        record = _to_record(start, source, balance, by, zone)
        writer.writerow(
            [
                *(record[name] for name in columns),
                *(record[f"{kind}_seconds"].get(cause, 0.0) for kind, cause in causes),
            ]
        )


def _write_json(balances: Balances, by: By, zone: tzinfo | None) -> None:
    import json

    records = [
        json.dumps(_to_record(start, source, balance, by, zone), ensure_ascii=False)
        for (start, source), balance in balances.items()
    ]
    click.echo("[\n" + ",\n".join(records) + "\n]" if records else "[]")
