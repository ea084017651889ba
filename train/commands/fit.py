"""`birdwatchd-train fit`: trains a network on the clips of a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from train.manifest import Row
    from train.settings import Settings


@click.command(short_help="Train a network on the clips of a manifest.")
@click.argument("manifest", type=click.Path(path_type=Path), required=False)
@click.option("--config", "-c", type=click.Path(path_type=Path), help="YAML file of settings.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="NAME=VALUE",
    help="Override one setting, such as training.epochs=5; may be repeated.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("training"),
    show_default=True,
    help="Folder for checkpoints, metrics.csv and curves.png.",
)
@click.option("--resume", is_flag=True, help="Go on after the last epoch that the output folder holds.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for decoded sound and embeddings; by default the user's cache folder.",
)
@click.option("--settings", "show", is_flag=True, help="Print the settings as YAML, and do nothing else.")
def fit(
    manifest: Path | None,
    config: Path | None,
    overrides: tuple[str, ...],
    output: Path,
    *,
    resume: bool,
    cache: Path | None,
    show: bool,
) -> None:
    """Train a network on the clips of MANIFEST.

    What is best on the rows whose split is validation is kept in OUTPUT/best.pt; rows of the split test are not touched.
    Where the manifest has folds, `--set validation_fold=2 --set test_fold=1` splits by them instead, and
    `calibrate` and `evaluate` keep to that.

    Ctrl-C keeps the best checkpoint so far, and --resume goes on after the last whole epoch. Under torchrun, all its processes
    train together: `torchrun --nproc-per-node 2 -m train fit …`. The first of them writes OUTPUT; on several machines, --resume
    needs it to be a folder that all of them see.

    \b
    Examples:
      birdwatchd-train fit birds.csv                a head of your own on BirdNET
      birdwatchd-train fit birds.csv --set network=cnn -o small    from scratch
      birdwatchd-train fit birds.csv --set 'augment.noise=[ambience/]'
      birdwatchd-train fit birds.csv -c warblers.yaml --set training.seed=3
      birdwatchd-train fit birds.csv -c warblers.yaml --resume
      birdwatchd-train fit --set network=cnn --settings > cnn.yaml
    """
    from train.rank import leads, refused_by_all
    from train.settings import load_settings, settings_yaml

    with refused_by_all():
        settings = load_settings(config, overrides)
    if show:
        click.echo(settings_yaml(settings), nl=False)
        return
    if manifest is None:
        raise click.UsageError("name a manifest; `birdwatchd-train list` makes one")
    from train.fit import fit
    from train.manifest import read_manifest
    from train.resuming import BEST, LAST
    from train.sampling import split

    with refused_by_all():
        rows = read_manifest(manifest)
        train_rows, validation_rows = split(rows, settings)
    if leads():
        for note in _notes(rows, settings):
            click.echo(f"note: {note}", err=True)
    try:
        trained = fit(settings, train_rows, validation_rows, output, resume=resume, cache=cache)
    except KeyboardInterrupt:
        kept = f"the best so far is in {output / BEST}" if (output / BEST).exists() else ""
        if kept and (output / LAST).exists():
            kept += ", and --resume goes on"
        if leads():
            click.echo(f"interrupted{': ' if kept else ''}{kept}", err=True)
        raise click.Abort from None
    reached = trained.metrics.get("validation_macro_ap")
    note = "" if reached is None else f", macro average precision {reached:.4f} in validation"
    if leads():
        click.echo(f"{output / BEST}: epoch {trained.metrics['epoch']:.0f}{note}")


def _notes(rows: Sequence[Row], settings: Settings) -> list[str]:
    """What makes an honest judgement of what will be learnt unlikely, a sentence each."""
    from dataclasses import replace

    from train.parts import torn
    from train.sampling import divided

    parts = divided(rows, settings)
    notes = torn(replace(row, split=part) for part, its in parts.items() for row in its)
    if len(parts["train"]) == len(rows) and any(row.fold is not None for row in rows):
        notes.append(
            "all folds are trained on, which leaves nothing to test by: keep some back with --set test_fold=1 "
            "--set validation_fold=2, or cross-validate with `evaluate --folds`"
        )
    elif not parts["validation"]:
        notes.append("there is nothing to validate by: all epochs are gone through, and the last is kept")
    return notes
