"""`birdwatchd-train evaluate`: how well a model does on recordings that it does not know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birdwatchd.cli.screen import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from train.evaluate import Evaluation
    from train.events import Matches
    from train.folds import Judged
    from train.learnt import Learnt
    from train.listener import Listener
    from train.manifest import Row
    from train.settings import Settings

A_FILE = click.Path(path_type=Path, dir_okay=False)
A_FOLDER = click.Path(path_type=Path, file_okay=False)
SPLITS = ("train", "validation", "test", "all")


@click.command(short_help="Judge a model or, with --folds, a way to train.")
@click.argument("files", metavar="[MODEL] MANIFEST", nargs=-1, required=True, type=A_FILE)
@click.option("-o", "--output", type=A_FOLDER, default=Path("evaluation"), show_default=True,
              help="Folder for report.html, the pictures and metrics.json.")  # fmt: skip
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    help="Which rows, as its training divided them; test where there are some, else all.",
)
@click.option("--fold", type=int, help="Only rows of this fold.")
@click.option(
    "--hop", type=click.FloatRange(0.1, 60), help="Seconds from segment to segment; half a segment."
)
@click.option("--annotated", type=A_FILE,
              help="Manifest whose rows are events in long recordings: what the daemon would report is matched to them.")  # fmt: skip
@click.option(
    "--folds", is_flag=True, help="Cross-validate: train on all folds but one, test on that one, in turn."
)
@click.option("-c", "--config", type=A_FILE, help="Settings of `fit`, for --folds.")
@click.option(
    "--set", "overrides", multiple=True, metavar="NAME=VALUE", help="One of the settings, for --folds."
)
@click.option("--cache", type=A_FOLDER, help="As for `fit`, for --folds.")
@click.option("--precision", type=click.FloatRange(0.01, 1), default=0.95, show_default=True,
              help="That the thresholds are calibrated to, with --folds.")  # fmt: skip
@click.option("--validation", type=click.FloatRange(0, 0.5), default=0.15, show_default=True,
              help="Share of the other folds to validate and calibrate on, with --folds. 0: train on all, through all "
              "epochs, uncalibrated.")  # fmt: skip
def evaluate(files: tuple[Path, ...], **options: Any) -> None:
    """Judge MODEL, a checkpoint or a bundle (its path or name), by the rows of MANIFEST; or a way to train, with --folds.

    By clip a label's score is the mean over the clip; by window it is what the daemon decides on. A claim is a score that
    reaches its label's threshold. A MODEL that was trained by folds is judged by its test_fold. With --folds no MODEL is named: one is trained for each fold of the manifest, and judged by
    the fold that it does not know. Ctrl-C ends that, and tells what the folds until then have given; the same command then goes on.

    \b
    Examples:
      birdwatchd-train evaluate training/best.pt birds.csv
      birdwatchd-train evaluate mine.pt birds.csv --annotated dawn.csv -o judged
      birdwatchd-train evaluate --folds birds.csv --set network=birdnet
    """
    from birdwatchd.errors import UserError
    from train.listener import is_bundle, located
    from train.report import write_report

    if len(files) != (1 if options["folds"] else 2):
        raise click.UsageError("name a MODEL and a MANIFEST, or with --folds a MANIFEST alone")
    if options["folds"] and options["annotated"]:
        raise UserError(
            "--annotated judges one bundle, and --folds makes several checkpoints: give one of them"
        )
    model = files[0] if options["folds"] else located(files[0])
    if options["annotated"] and model.is_file() and not is_bundle(model):
        raise UserError(
            f"--annotated runs the daemon's own pipeline, which takes bundles: export {model} first"
        )
    judged, interrupted = (
        _cross_validated(files[0], options)
        if options["folds"]
        else (_judged(model, files[1], options), False)
    )
    events, seconds = _events(model, options["annotated"]) if options["annotated"] else (None, 0.0)
    page = write_report(options["output"], judged, events, seconds)
    _show(judged, events)
    say(f"written to {page}")
    if interrupted:
        raise click.Abort
    if options["folds"]:
        from train.resuming import end_folds

        end_folds(options["output"])


def _judged(model: Path, manifest: Path, options: Mapping[str, Any]) -> Evaluation:
    from train.commands.hearing import heard
    from train.evaluate import evaluation
    from train.listener import listen
    from train.manifest import read_manifest

    listener = listen(model)
    settings, learnt = _origin(model)
    rows = _chosen(
        read_manifest(manifest),
        manifest,
        settings,
        options["split"],
        options["fold"],
        is_known=learnt is not None,
    )
    scores = heard(listener, rows, options["hop"])
    names = [label.common_name for label in listener.labels]
    notes = learnt.said_of([one.row for one in scores.rows]) if learnt else []
    for note in notes:
        say(note)
    return replace(evaluation(listener.name, names, [(scores, listener.threshold_of)]), notes=tuple(notes))


def _origin(model: Path) -> tuple[Settings | None, Learnt | None]:
    """What a checkpoint was trained with and on, or a bundle, if what it was exported from lies beside it."""
    from train.checkpoint import origin_of
    from train.export import kept_checkpoint
    from train.listener import is_bundle

    checkpoint = kept_checkpoint(model) if is_bundle(model) else model
    return origin_of(checkpoint) if checkpoint.is_file() else (None, None)


def _chosen(
    rows: Sequence[Row],
    manifest: Path,
    settings: Settings | None,
    split: str | None,
    fold: int | None,
    *,
    is_known: bool,
) -> list[Row]:
    """The rows to judge by. `is_known` says that the model tells itself which of them it has learnt from."""
    from birdwatchd.errors import UserError
    from train.sampling import divided, goes_by_fold

    parts = divided(rows, settings)
    learnt = ("train", "") if settings else ("train",)  # `fit` trains on rows without a split
    if split is None:
        split = "test" if parts["test"] else "all"
        if settings and goes_by_fold(rows, settings):
            if split == "all":
                raise UserError(
                    f"the model was trained on all of {manifest} but fold {settings.validation_fold}, and that chose its "
                    "best epoch: train with a test_fold too, or say which rows with --split"
                )
            say(f"judged by fold {settings.test_fold}, which its training left out")
        elif split == "all" and not is_known and any(row.split in learnt for row in rows):
            say(
                f"{manifest} has no rows for test: those for train are judged too, which the model may know by heart"
            )
    chosen = [row for row in (rows if split == "all" else parts[split]) if fold in (None, row.fold)]
    if not chosen:
        asked = f"split {split}" + ("" if fold is None else f", fold {fold}")
        raise UserError(
            f"{manifest} has no rows for {asked}: ask for others, or make it again with `birdwatchd-train list`"
        )
    return chosen


def _cross_validated(manifest: Path, options: Mapping[str, Any]) -> tuple[Evaluation, bool]:
    """What came of it, and whether Ctrl-C ended it after some of the folds."""
    from birdwatchd.errors import UserError
    from train.cache import cache_folder
    from train.commands.hearing import heard
    from train.evaluate import evaluation
    from train.fit import fit
    from train.folds import cross_validate, folds
    from train.listener import of_trained
    from train.manifest import labels_in, read_manifest
    from train.rank import count, refused_by_all
    from train.resuming import BEST, LAST, begin_folds
    from train.settings import load_settings

    if count() > 1:
        with refused_by_all():
            raise UserError("--folds trains in one process: start it without torchrun")
    rows = read_manifest(manifest)
    settings = load_settings(options["config"], options["overrides"])
    labels = labels_in(rows)
    number = len(list(folds(rows, validation_share=options["validation"])))
    folder = begin_folds(options["output"], settings, rows, options["validation"])
    cache = options["cache"] or cache_folder()
    parts: list[Judged] = []

    def trainer(fold: int, train_rows: list[Row], validation_rows: list[Row]) -> Listener:
        place = folder / str(fold)
        resume = (place / LAST).exists()
        if not resume:  # what Ctrl-C has left of a first epoch is of no use
            (place / BEST).unlink(missing_ok=True)
        say(f"fold {fold} goes on" if resume else f"fold {fold}")
        trained = fit(settings, train_rows, validation_rows, place, labels=labels, resume=resume, cache=cache)
        return of_trained(trained, f"fold {fold}", cache=cache)

    try:
        for part in cross_validate(
            rows,
            trainer,
            precision=options["precision"],
            hearing=lambda listener, some: heard(listener, some, options["hop"]),
            validation_share=options["validation"],
        ):
            parts.append(part)  # noqa: PERF402 - those before Ctrl-C are wanted
    except KeyboardInterrupt:
        say(f"interrupted: {len(parts)} of {number} folds were judged; the same command goes on from there")
        if not parts:
            raise click.Abort from None
    done = f"{number} folds" if len(parts) == number else f"{len(parts)} of {number} folds"
    name = f"{settings.network} on {manifest.name}, {done}"
    return evaluation(name, [label.common_name for label in labels], parts), len(parts) < number


def _events(bundle: Path, annotated: Path) -> tuple[dict[str, Matches], float]:
    from birdwatchd.model.bundle import read_card
    from train.commands.hearing import listening
    from train.events import Span, detections_in, events_of, match
    from train.manifest import read_manifest

    rows = read_manifest(annotated)
    recordings = dict.fromkeys(row.path for row in rows)
    with listening(len(recordings)) as told:
        found, seconds, faults = detections_in(recordings, bundle, told)
    for fault in faults.values():
        say(f"left out: {fault}")
    events: list[Span] = events_of(row for row in rows if row.path not in faults)
    known = {label.scientific_name for label in read_card(bundle).labels}
    if unknown := sorted({event.name for event in events} - known):
        say(f"no labels of the model, so that their events cannot be found: {', '.join(unknown)}")
    return match(events, found), seconds


def _show(judged: Evaluation, events: Mapping[str, Matches] | None) -> None:
    from rich.table import Table

    from birdwatchd.cli.terminal import Terminal
    from train.events import total
    from train.report import TITLES, shown

    table = Table("", "by clip", "by window", box=None, pad_edge=False)
    if judged.folds:
        table.add_column("over folds, by clip")
    spread = judged.spread
    clips, windows = judged.clips.figures, judged.windows.figures
    for name, title in TITLES.items():
        row = [title, shown(name, clips[name]), shown(name, windows[name])]
        if name in spread:
            mean, deviation, least, most = spread[name]
            row.append(f"{mean:.3f} ± {deviation:.3f} ({least:.3f}…{most:.3f})")
        table.add_row(*row)
    screen = Terminal(markup=False, highlight=False, soft_wrap=True)
    screen.print(table)
    if events is not None:
        every = total(events)
        screen.print(
            f"{every.found} of {every.events} events found by {every.detections} detections, "
            f"{every.false_detections} of them false"
        )
