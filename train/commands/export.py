"""`birdwatchd-train export`: a bundle that `birdwatchd run` loads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from train.quiet import Quiet


@click.command(short_help="Make the bundle that the daemon loads.")
@click.argument("checkpoint", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("output", metavar="BUNDLE")
@click.option("--clips", type=click.Path(path_type=Path, dir_okay=False), required=True,
              help="The manifest it was trained with: bundle and network must score its clips alike.")  # fmt: skip
@click.option("--version", default="1", show_default=True, help="Of the model, for the card.")
@click.option("--licence", required=True, help="Under which the model may be passed on, for the card.")
@click.option("--data", default="", help="What the recordings are called, for the card.")
@click.option("--data-licence", default="", help="Of the recordings, for the card.")
@click.option("--source", default="trained with birdwatchd-train", show_default=True, help="For the card.")
@click.option("--limit", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="Score that silence and noise must stay below, and the label's threshold too.")  # fmt: skip
@click.option("--force", is_flag=True, help="Write it although it hears a bird in noise.")
def export(checkpoint: Path, output: str, **options: object) -> None:
    """Make a bundle of CHECKPOINT, with its calibration where there is one.

    BUNDLE is a path that ends in .pt, or a name: then it goes into the models folder, where `model: {bundle: NAME}` of
    the daemon's config finds it. It is written only if it scores real clips as the network does, within 1e-5, and if it hears
    nothing in silence and in noise at five levels. The checkpoint is kept beside it. Another that was exported before is
    replaced; BirdNET and other bundles are not.

    \b
    Examples:
      birdwatchd-train export training/best.pt garden --clips birds.csv --licence CC-BY-NC-SA-4.0
      birdwatchd-train export training/best.pt ./garden.pt --clips birds.csv --licence private --force
    """
    from rich.table import Table

    from birdwatchd.cli.terminal import Terminal
    from birdwatchd.model.catalog import SUFFIX, models_folder
    from train.export import Origin, make_bundle

    named = os.sep not in output and not output.endswith(SUFFIX)
    path = models_folder() / f"{output}{SUFFIX}" if named else Path(output).expanduser()

    def show(found: Sequence[Quiet]) -> None:
        table = Table("sound", "nearest label", "score", box=None, pad_edge=False)
        for one in found:
            table.add_row(one.sound, one.label.common_name, f"{one.score:.3f}")
        Terminal(markup=False, highlight=False).print(table)

    origin = Origin(
        *(str(options[name]) for name in ("version", "licence", "data", "data_licence", "source"))
    )
    instead = ", in place of the one that was there" if path.exists() else ""
    difference = make_bundle(
        checkpoint,
        path,
        clips=Path(str(options["clips"])),
        origin=origin,
        limit=None if options["force"] else float(str(options["limit"])),
        show=show,
    )
    click.echo(f"scores real clips as the network does, within {difference:.1e}")
    click.echo(
        f"written to {path}{instead}; try `birdwatchd-train predict {path} RECORDING`, or name it in the config:"
    )
    click.echo(f"  model:\n    bundle: {path.stem if named else path}")
