"""All that stands ready before the first step: decoded sound, the network at its scale, and what goes into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from birdwatchd.audio.decoding import SUFFIXES
from birdwatchd.errors import UserError
from train.cache import cache_folder
from train.dataset import windows as cut
from train.inputs import Waveforms, stage_of
from train.kept import Computing, Kept, keep_embeddings, keep_features, mark_of
from train.manifest import Row, labels_in
from train.networks import build

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from birdwatchd.domain import Label
    from train.dataset import Windows
    from train.inputs import Inputs, Stage
    from train.networks import Network
    from train.processes import Process
    from train.progress import Display
    from train.settings import Settings

SCALE_CLIPS = 256
"""How many windows the scale of the bands is taken from."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What the loop works with."""

    labels: tuple[Label, ...]
    network: Network
    stage: Stage
    windows: Windows
    inputs: Inputs
    validation_windows: Windows | None
    validation_inputs: Inputs | None
    noise: Windows | None
    """What is mixed in."""


def prepare(
    settings: Settings,
    train_rows: Sequence[Row],
    validation_rows: Sequence[Row],
    labels: Sequence[Label] | None,
    *,
    process: Process,
    cache: Path | None,
    display: Display,
) -> Ready:
    """Decode, build the network, bring it to the scale of the clips, and compute once what need not be computed again.

    Raises:
        UserError: there is nothing to learn from these rows, or nothing to validate by, the batch size does not suit the
            processes, or `augment.noise` names what holds no sound.
        BundleError: the backbone is missing.
    """
    names = tuple(labels or labels_in([*train_rows, *validation_rows]))
    refuse_unlearnable(settings, train_rows, names)
    refuse_unjudgeable(settings, validation_rows)
    if settings.training.batch_size % process.count:
        raise UserError(
            f"training.batch_size is {settings.training.batch_size}, which {process.count} processes cannot share "
            "evenly: say a multiple of it"
        )
    noise_rows = [Row(path, ()) for path in sound_files(settings.augment.noise)]
    folder = cache or cache_folder()
    network = build(settings, len(names))
    windows = _decoded(train_rows, settings, names, folder, display=display, what="training clips")
    refuse_unlearnable(settings, windows.rows, names)
    validation = (
        _decoded(validation_rows, settings, names, folder, display=display, what="validation clips")
        if validation_rows
        else None
    )
    refuse_unjudgeable(settings, validation.rows if validation else ())
    noise = None
    if noise_rows and settings.augment.waveform:
        noise = _decoded(noise_rows, settings, (), folder, display=display, what="noise clips")
    if settings.network != "birdnet":
        _fit_front_end(network, windows, settings.training.seed)
    network.to(process.device)
    stage = stage_of(settings)
    inputs: Inputs
    validation_inputs: Inputs | None = None
    if stage == "waveform":
        inputs = Waveforms(windows, settings, process.device, noise=noise, augmented=True)
        if validation:
            validation_inputs = Waveforms(validation, settings, process.device, augmented=False)
    else:
        network.eval()
        copies = settings.augment.copies if stage == "embedding" and settings.augment.waveform else 0
        computing = Computing(network, settings, process.device, mark_of(network, settings), folder)
        kept: list[Kept] = []
        for wanted, count in ((windows, copies), (validation, 0)):
            if wanted is None:
                continue
            with display.bar(f"computing {stage}s".replace("ss", "s"), len(wanted) * (1 + count)) as advance:
                here = computing._replace(advance=advance)
                kept.append(
                    keep_embeddings(wanted, here, noise=noise if count else None, copies=count)
                    if stage == "embedding"
                    else keep_features(wanted, here)
                )
        inputs = kept[0]
        validation_inputs = kept[1] if validation else None
        if stage == "embedding":
            values = torch.from_numpy(np.asarray(kept[0].values)).flatten(0, 1)
            network.head.fit(values.to(process.device))
    return Ready(names, network, stage, windows, inputs, validation, validation_inputs, noise)


def refuse_unlearnable(settings: Settings, rows: Sequence[Row], labels: Sequence[Label]) -> None:
    """Say what is missing before an hour is lost.

    Raises:
        UserError: there are no rows, only one kind of them, or rows that softmax cannot learn.
    """
    kinds = {frozenset(row.labels) for row in rows}
    if not rows:
        raise UserError("there are no clips to train on: the manifest has no row whose split is train")
    if len(kinds) == 1:
        only = " and ".join(sorted(next(iter(kinds)))) or "nothing at all"
        raise UserError(
            f"all clips to train on hold {only}: add clips of another label, or clips with none (field noise)"
        )
    _refuse_for_softmax(settings, rows)
    if not labels:
        raise UserError("no row of the manifest has a label: there is nothing to learn")


def refuse_unjudgeable(settings: Settings, rows: Sequence[Row]) -> None:
    """Refuse rows to validate on by which no epoch is better than another.

    Raises:
        UserError: there are some, and none of them has a label, or one is such that softmax can say nothing right of it.
    """
    if rows and not any(row.labels for row in rows):
        raise UserError(
            f"none of the {len(rows)} clips to validate on has a label, so no epoch could be told from another: give each "
            "bird more recordings, or do without validation (`list --split 0.85,0,0.15`, `evaluate --folds --validation 0`)"
        )
    _refuse_for_softmax(settings, rows)


def _refuse_for_softmax(settings: Settings, rows: Sequence[Row]) -> None:
    other = next((row for row in rows if len(row.labels) != 1), None)
    if settings.score == "softmax" and other:
        raise UserError(
            f"softmax needs exactly one label for each clip, and {other.path} has {len(other.labels)}: say score=sigmoid"
        )


def sound_files(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths`, and the sound files in the folders among them, in order of name.

    Raises:
        UserError: one of them is missing, or holds no sound.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.suffix.casefold() in SUFFIXES)
            if not inside:
                raise UserError(f"augment.noise: {path} has no sound files in it")
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise UserError(f"augment.noise: there is no {path}: name sound files or folders of them")
    return files


def _decoded(
    rows: Sequence[Row],
    settings: Settings,
    labels: Sequence[Label],
    folder: Path,
    *,
    display: Display,
    what: str,
) -> Windows:
    with display.bar(f"decoding {what}", len(rows)) as advance:
        windows = cut(rows, settings, labels, folder=folder, advance=lambda: advance(1))
    for skipped in windows.skipped:
        display.say(f"left out: {skipped.reason}")
    if windows.skipped:
        display.say(
            f"{len(windows.skipped)} of {len(rows)} {what} were left out, because they cannot be used"
        )
    return windows


def _fit_front_end(network: Network, windows: Windows, seed: int) -> None:
    draw = np.random.default_rng(seed)
    chosen = draw.permutation(len(windows))[:SCALE_CLIPS]
    waveforms = np.stack([windows.read(int(number)) for number in chosen])
    network.front_end.fit(torch.from_numpy(waveforms))  # type: ignore[operator] # LogMel has it
