"""`birdwatchd status`: how does the daemon do?"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from birdwatchd.cli.screen import open_screen
from birdwatchd.cli.station import Station, find_station, station_options
from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

_WATCH_SECONDS = 2.0


@click.command(short_help="How the daemon does: what it hears, what waits, what is wrong.")
@station_options
@click.option("--watch", is_flag=True, help="Ask again every 2 seconds, until Ctrl-C.")
@click.option(
    "--json", "as_json", is_flag=True, help="All of it, for programs; with --watch one line each time."
)
def status(*, config: Path | None, database: Path | None, watch: bool, as_json: bool) -> None:
    """How a running daemon does: its sources, today's ledger, what is scheduled, disk, and what waits for its actions.

    It is asked over a local socket, as the user that it runs as. The exit status is 0 when all is well, 1 when something is
    wrong, 2 when none runs.

    \b
    Examples:
      birdwatchd status
      birdwatchd status --watch
      sudo -u birdwatchd birdwatchd status        the system service
      birdwatchd status --json | jq '.sources[] | {name, state, level_dbfs}'
      birdwatchd status > /dev/null || echo "the birds are not heard"
    """
    station = find_station(config, database)
    if watch:
        with suppress(KeyboardInterrupt):
            _watch(station, as_json=as_json)
        return
    try:
        said = _ask(station)
    except _Silent as silent:
        click.echo(f"birdwatchd: {silent}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        from birdwatchd.cli.status_tables import draw

        open_screen().print(draw(said, station.zone))
    if said["faults"] or said["warnings"]:
        sys.exit(1)


class _Silent(Exception):  # noqa: N818 - it is no fault of this program
    """There is a daemon, and it says nothing."""


def _ask(station: Station) -> dict[str, Any]:
    """What the daemon says.

    Raises:
        UserError: there is none.
        _Silent: there is one.
    """
    from birdwatchd.service.status_socket import Unanswered, ask
    from birdwatchd.store.lock import owner

    try:
        said = ask(station.database)
    except Unanswered as unanswered:
        raise _Silent(f"a daemon runs with {station.database}, but {unanswered}") from None
    if said is not None:
        return said
    process = owner(station.database)
    if process is not None:
        raise _Silent(
            f"a daemon runs with {station.database} (process {process}), and tells nothing of itself: it is starting or "
            "ending, or it runs for another user"
        )
    raise UserError(
        f"no daemon runs with the database {station.database}; start it with `birdwatchd run`, or the service with "
        "`sudo systemctl start birdwatchd` (of another station: -c CONFIG)"
    )


def _watch(station: Station, *, as_json: bool) -> None:
    if as_json:
        while True:
            with suppress(_Silent, UserError):
                click.echo(json.dumps(_ask(station), ensure_ascii=False))
            time.sleep(_WATCH_SECONDS)
    from rich.live import Live

    screen = open_screen()
    with Live(_drawn(station), console=screen, auto_refresh=False, screen=screen.is_terminal) as live:
        while True:
            time.sleep(_WATCH_SECONDS)
            live.update(_drawn(station), refresh=True)


def _drawn(station: Station) -> RenderableType:
    from rich.text import Text

    from birdwatchd.cli.status_tables import draw

    try:
        return draw(_ask(station), station.zone)
    except (_Silent, UserError) as error:
        return Text(f"birdwatchd: {error}", "red")
