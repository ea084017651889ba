"""Which station a command means: its config, or its database and the zone in which its clock runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from birdwatchd.store.database import Database

_Command = TypeVar("_Command", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Station:
    """What a command that only reads needs to know of the config."""

    database: Path
    zone: tzinfo | None
    """None is the machine's own zone."""
    trace_days: float | None = None
    """How long candidates are kept; None when no config says so."""

    def open(self) -> Database:
        """The database, for reading.

        Raises:
            StoreError: there is none, or it cannot be used.
        """
        from birdwatchd.store.database import Database

        return Database.open(self.database, read_only=True)


def config_option(command: _Command) -> _Command:
    """The option of a command that takes the whole config, as `path`."""
    return click.option(
        "-c",
        "--config",
        "path",
        type=click.Path(path_type=Path),
        help="The config file; ./config.yaml, then the user's, then /etc/birdwatchd/config.yaml when left out.",
    )(command)


def station_options(command: _Command) -> _Command:
    """The two options that say which station is meant."""
    command = click.option(
        "--database", type=click.Path(path_type=Path), help="Read this file; no config is needed then."
    )(command)
    return click.option(
        "-c", "--config", type=click.Path(path_type=Path), help="The config file that names the database."
    )(command)


def find_station(config: Path | None, database: Path | None) -> Station:
    """The station of the two options.

    Raises:
        ConfigError: the config is wrong, or there is none and no database was named.
    """
    if database is not None and config is None:
        return Station(database, None)
    from zoneinfo import ZoneInfo

    from birdwatchd.config.load import find_config, load

    loaded = load(config or find_config()).config
    place = loaded.location
    zone = ZoneInfo(place.timezone) if place and place.timezone else None
    return Station(database or loaded.store.database, zone, loaded.store.trace_days)
