"""A training folder: begun, or gone on with after the last epoch that it holds. And one of many, for cross-validation."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from birdwatchd.errors import UserError
from birdwatchd.on_disk import whole
from train import checkpoint
from train.settings import settings_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch

    from birdwatchd.domain import Label
    from train.learnt import Learnt
    from train.manifest import Row
    from train.networks import Network
    from train.settings import Settings

BEST = "best.pt"
LAST = "last.pt"
SETTINGS = "settings.yaml"
FOLDS = "folds"
ASKED = "asked.json"


def begin(folder: Path, settings: Settings, *, resume: bool) -> checkpoint.Trained | None:
    """What is to be gone on with in `folder`; None for a new training.

    Raises:
        UserError: the folder holds a training already, or, to resume, none or another one.
    """
    path = folder / LAST
    if (folder / BEST).exists() and not path.exists():
        raise UserError(
            f"{folder} holds {BEST} of a training that ended before its first epoch was whole, so that nothing can go on "
            "with it: move it away, or name another folder (--output)"
        )
    if not resume:
        if path.exists():
            raise UserError(
                f"{folder} holds a training already: go on with it (--resume) or name another folder (--output)"
            )
        try:
            with whole(folder / SETTINGS) as file:
                file.write(settings_yaml(settings).encode())
        except OSError as error:
            raise UserError(
                f"{folder} cannot be written to ({error.strerror or error}): choose another --output"
            ) from error
        return None
    if not path.exists():
        raise UserError(f"{folder} holds no whole epoch to go on after: leave --resume out, and it begins")
    before = checkpoint.load(path)
    ours, theirs = _flat(settings.model_dump(mode="json")), _flat(before.settings.model_dump(mode="json"))
    differing = next((name for name in ours if ours[name] != theirs[name]), None)
    if differing is not None:
        raise UserError(
            f"{path} is of a training with another {differing} ({theirs[differing]}, not {ours[differing]}): resume with "
            f"--config {folder / SETTINGS} and without --set, or begin anew in another folder (--output)"
        )
    return before


def begin_folds(output: Path, settings: Settings, rows: Sequence[Row], validation_share: float) -> Path:
    """The folder in `output` for the trainings of a cross-validation, each in a folder named by its fold.

    What one that was interrupted has left there is for `fit` to go on with.

    Raises:
        UserError: it was interrupted with another manifest or other settings, or the folder cannot be written to.
    """
    folder = output / FOLDS
    paths = [row.path.resolve() for row in rows]
    root = os.path.commonpath([path.parent for path in paths])  # it may have moved since
    told = json.dumps(
        [asdict(row) | {"path": os.path.relpath(path, root)} for row, path in zip(rows, paths, strict=True)]
    )
    manifest = hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
    asked = {
        "manifest": manifest,
        "validation": validation_share,
        **_flat(settings.model_dump(mode="json")),
    }
    advice = f"give the command of then to go on with it, name another folder (--output), or delete {folder}"
    try:
        is_another = folder.is_dir() and any(path.suffix != ".part" for path in folder.iterdir())
        if is_another and not (folder / ASKED).is_file():
            raise UserError(f"{folder} is of no cross-validation: name another folder (--output)")
        if any(folder.glob(f"*/{LAST}")):
            before = json.loads((folder / ASKED).read_text())
            differing = next((name for name in asked if before[name] != asked[name]), None)
            if differing == "manifest":
                raise UserError(
                    f"{folder} is of a cross-validation of another manifest, interrupted: {advice}"
                )
            if differing:
                raise UserError(
                    f"{folder} is of a cross-validation with another {differing} ({before[differing]}, not "
                    f"{asked[differing]}), interrupted: {advice}"
                )
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / ASKED) as file:
            file.write(json.dumps(asked, indent=1).encode())
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written to ({error.strerror or error}): choose another --output"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder} is of no cross-validation that can be gone on with: delete it") from error
    return folder


def end_folds(output: Path) -> None:
    """Clear away what nobody goes on with any more.

    Raises:
        UserError: it cannot be.
    """
    try:
        # What tells whose folder it is goes last.
        for path in (output / FOLDS).iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        shutil.rmtree(output / FOLDS)
    except OSError as error:
        raise UserError(
            f"{output / FOLDS} cannot be deleted ({error.strerror or error}): delete it yourself"
        ) from error


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting by its dotted name, as `--set` has it."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": its for inner, its in _flat(value).items()}
        else:
            flat[name] = value
    return flat


def go_on(
    before: checkpoint.Trained,
    labels: Sequence[Label],
    network: Network,
    average: Network,
    optimizer: torch.optim.Optimizer,
    *,
    learnt: Learnt,
) -> None:
    """Put everything back to where `before` ended.

    Raises:
        UserError: it was trained on other labels, or on other clips.
    """
    if before.labels != tuple(labels):
        raise UserError(
            "the checkpoint was trained on other labels than the manifest has now: begin anew in another folder"
        )
    if before.learnt and before.learnt.division != learnt.division:
        raise UserError(
            "the manifest has other clips to train or validate on than when this training began, or in another order: resume "
            "with the manifest of then, or begin anew in another folder (--output)"
        )
    checkpoint.restore(network, checkpoint.weights(before.network, before.settings), before.settings)
    checkpoint.restore(average, before.progress["average"], before.settings)
    optimizer.load_state_dict(before.progress["optimizer"])
