"""The command line of `birdwatchd-train`: finds the subcommand."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, NoReturn

# Before torch: its threads then sleep while they wait. Spinning, they take from each other what they wait for as soon as
# anything else runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click

from birdwatchd import __version__
from birdwatchd.cli import commands
from birdwatchd.errors import UserError
from train.rank import count, refused_by_all, told_once


class Commands(commands.Commands):
    """The subcommands, in the order in which one needs them."""

    table = {  # noqa: RUF012 - declared by the parent
        "record": "train.commands.record:record",
        "crop": "train.commands.crop:crop",
        "list": "train.commands.list:list_",
        "fit": "train.commands.fit:fit",
        "evaluate": "train.commands.evaluate:evaluate",
        "calibrate": "train.commands.calibrate:calibrate",
        "export": "train.commands.export:export",
        "predict": "train.commands.predict:predict",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def main(self, *arguments: Any, **options: Any) -> Any:
        """As in click; out of memory is a UserError, and of several processes one tells a mistake."""
        with told_once():
            try:
                return super().main(*arguments, **options)
            except click.ClickException as error:
                if count() == 1:
                    raise
                # One sentence of them all, not a usage from each.
                with refused_by_all():
                    raise UserError(error.format_message()) from error
            except (click.exceptions.Exit, click.Abort):
                raise
            except (MemoryError, RuntimeError, OSError, ImportError) as error:
                from train.memory import SHORT, is_out_of_memory

                if is_out_of_memory(error):
                    raise UserError(SHORT) from error
                raise


@click.command(
    "birdwatchd-train",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="\b\nShell completion, also with zsh_source and fish_source:\n"
    '  eval "$(_BIRDWATCHD_TRAIN_COMPLETE=bash_source birdwatchd-train)"',
)
@click.version_option(__version__, prog_name="birdwatchd-train")
def train() -> None:
    """Makes a model for `birdwatchd run` from recordings of the birds one cares about."""


def run() -> NoReturn:
    """Run it by the arguments of this process."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files need not be UTF-8.
        sys.stdout.reconfigure(errors="surrogateescape")
    commands.run(train)
