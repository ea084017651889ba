"""`birdwatchd-train calibrate`: thresholds for a wanted precision, and scores that mean what they say."""

from __future__ import annotations

from pathlib import Path

import click

A_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(short_help="Find thresholds for a wanted precision.")
@click.argument("checkpoint", type=A_FILE)
@click.argument("manifest", type=A_FILE)
@click.option("--precision", type=click.FloatRange(0.01, 1), default=0.95, show_default=True,
              help="Share of a label's detections that shall be right.")  # fmt: skip
@click.option("--split", default="validation", show_default=True,
              type=click.Choice(["validation", "test", "all"]), help="Which rows, as its training divided them.")  # fmt: skip
@click.option(
    "--hop", type=click.FloatRange(0.1, 60), help="Seconds from segment to segment; half a segment."
)
def calibrate(checkpoint: Path, manifest: Path, precision: float, split: str, hop: float | None) -> None:
    """Calibrate CHECKPOINT on the validation rows of MANIFEST, or its validation fold where it was trained by folds.

    Platt scaling makes a label's scores as likely as they say; then each label gets the lowest threshold, from 0.7 on,
    with which so many of its detections in these rows are right. Both are kept in a file beside the checkpoint, and
    `export` puts them into the bundle. In the field birds are rarer than in most manifests, so wrong detections weigh more there:
    have recordings without any of the labels among the rows.

    \b
    Examples:
      birdwatchd-train calibrate training/best.pt birds.csv
      birdwatchd-train calibrate training/best.pt birds.csv --precision 0.99
    """
    from rich.table import Table

    from birdwatchd.cli.terminal import Terminal
    from birdwatchd.errors import UserError
    from train.calibrate import calibrate as calibrated
    from train.calibration import write_calibration
    from train.commands.hearing import heard
    from train.evaluate import evaluation
    from train.listener import is_bundle, load_trained, of_trained
    from train.manifest import read_manifest
    from train.report import shown
    from train.sampling import divided

    if is_bundle(checkpoint):
        raise UserError(
            f"{checkpoint} is a bundle: calibrate the checkpoint that lies beside it, and export again"
        )
    trained = load_trained(checkpoint)
    rows = read_manifest(manifest)
    if split != "all":
        rows = divided(rows, trained.settings)[split]
    if not rows:
        raise UserError(
            f"{manifest} has no rows for {split} that {checkpoint} was not trained on: split it with "
            "`birdwatchd-train list`, or name a validation_fold, and train again"
        )
    listener = of_trained(trained, checkpoint.stem)
    scores = heard(listener, rows, hop)
    if trained.learnt:
        for note in trained.learnt.said_of([one.row for one in scores.rows], validating=True):
            click.echo(note, err=True)
    said = f"precision {precision:g} on {len(scores.rows)} {'' if split == 'all' else split + ' '}clips of {manifest.name}"
    calibration, unreached = calibrated(scores, precision=precision, said=said)
    path = write_calibration(checkpoint, calibration)
    judged = evaluation(listener.name, (), [(scores.changed(calibration.line.apply), calibration.thresholds)])
    found = judged.windows.per_label
    table = Table("label", "windows", "threshold", "precision", "recall", box=None, pad_edge=False)
    for number, label in enumerate(listener.labels):
        shares = [shown("", float(share[number])) for share in (found.precision, found.recall)]
        threshold = f"{calibration.thresholds[number]:.3f}"
        table.add_row(label.common_name, str(found.positives[number]), threshold, *shares)
    Terminal(markup=False, highlight=False).print(table)
    for name in unreached:
        click.echo(f"{name} does not reach precision {precision:g}: it will hardly be reported", err=True)
    click.echo(f"written to {path}", err=True)
