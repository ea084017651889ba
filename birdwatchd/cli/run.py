"""`birdwatchd run`: the daemon, in the foreground."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import click

from birdwatchd.cli.station import config_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@config_option
def run(path: Path | None) -> None:
    """Listen, and record what is heard.

    Runs until it is told to stop (Ctrl-C, or systemd), or until every recording among its sources is at its end. On a
    terminal each detection is shown as it begins; elsewhere it is a line in the log, on standard error. At SIGHUP it reads
    its config again, and exchanges what changed (docs/systemd.md).

    \b
    Examples:
      birdwatchd run                      listen with the config that is found
      birdwatchd run -c garden.yaml       listen with this one
      kill -HUP PID                       take in what was changed in it
    """
    from birdwatchd.config.load import find_config, load
    from birdwatchd.config.secrets import Secrets
    from birdwatchd.dispatch.plugins import schemas
    from birdwatchd.service.logs import hear_others, set_up

    # Voices, and where somebody lives: what the daemon writes is for its user and group, whoever starts it.
    os.umask(os.umask(0o077) | stat.S_IRWXO)
    loaded = load(path or find_config(), actions=schemas())
    set_up(loaded.config.log, Secrets(loaded.config))
    hear_others()
    from birdwatchd.cli.live import Screen
    from birdwatchd.daemon import run as run_daemon

    with Screen(loaded.config) as screen:
        all_well = run_daemon(loaded, screen.listeners, screen.listening)
    if not all_well:
        sys.exit(1)
