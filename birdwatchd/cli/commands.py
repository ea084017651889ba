"""The command line of `birdwatchd`: finds the subcommand, and turns a UserError into one sentence."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import click

from birdwatchd import __version__, interrupts
from birdwatchd.config.plain import plain
from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS = {
    # name: module:attribute. A module in cli/ imports what it needs inside its function, so --help stays quick.
    "actions": "birdwatchd.cli.actions:actions",
    "analyze": "birdwatchd.cli.analyze:analyze",
    "check": "birdwatchd.cli.check:check",
    "deliveries": "birdwatchd.cli.deliveries:deliveries",
    "detections": "birdwatchd.cli.detections:detections",
    "devices": "birdwatchd.cli.devices:devices",
    "ledger": "birdwatchd.cli.ledger:ledger",
    "model": "birdwatchd.cli.model:model",
    "run": "birdwatchd.cli.run:run",
    "status": "birdwatchd.cli.status:status",
    "web": "birdwatchd.cli.web:web",
    "why": "birdwatchd.cli.why:why",
}


class Commands(click.Group):
    """The subcommands, imported when they are asked for."""

    table: ClassVar[Mapping[str, str]] = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, attribute = self.table[cmd_name].split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above says so
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader of a pipe (`| head`) has seen enough. Python would complain once more when it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        return result


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog='Shell completion: eval "$(_BIRDWATCHD_COMPLETE=bash_source birdwatchd)" (or zsh_source, fish_source).',
)
@click.version_option(__version__, prog_name="birdwatchd")
def birdwatchd() -> None:
    """Listens, recognises birds, and sets things off."""


def run(command: click.Command) -> NoReturn:
    """Run a command line by the arguments of this process.

    Exit status: 0 done, 1 a fault of birdwatchd or its machine, 2 a mistake that the user can mend, 130 interrupted.
    """
    try:
        interrupts.raise_it()
        status = command(prog_name=command.name, standalone_mode=False)
    except UserError as error:
        click.echo(f"{command.name}: {plain(str(error))}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    finally:
        interrupts.end_at_once()
    sys.exit(status if isinstance(status, int) else 0)
