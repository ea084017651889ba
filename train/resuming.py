"""A training folder: begun, or gone on with after the last epoch that it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from birdwatchd.errors import UserError
from train import checkpoint
from train.settings import settings_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch

    from birdwatchd.domain import Label
    from train.networks import Network
    from train.settings import Settings

BEST = "best.pt"
LAST = "last.pt"
SETTINGS = "settings.yaml"


def begin(folder: Path, settings: Settings, *, resume: bool) -> checkpoint.Trained | None:
    """What is to be gone on with in `folder`; None for a new training.

    Raises:
        UserError: the folder holds a training already, or, to resume, none or another one.
    """
    path = folder / LAST
    if not resume:
        if path.exists():
            raise UserError(
                f"{folder} holds a training already: go on with it (--resume) or name another folder (--output)"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / SETTINGS).write_text(settings_yaml(settings))
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
) -> None:
    """Put everything back to where `before` ended.

    Raises:
        UserError: it was trained on other labels.
    """
    if before.labels != tuple(labels):
        raise UserError(
            "the checkpoint was trained on other labels than the manifest has now: begin anew in another folder"
        )
    checkpoint.restore(network, checkpoint.weights(before.network, before.settings), before.settings)
    checkpoint.restore(average, before.progress["average"], before.settings)
    optimizer.load_state_dict(before.progress["optimizer"])
